import path from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { Key } from "../../main/contract/schema/keys.ts"
import type { Protected } from "../../main/contract/schema/protect.ts"
import type { Verdict } from "../../main/contract/schema/verify.ts"
import { createSoftHsm, type SoftHsm } from "../support/softhsm.ts"
import { cliJson, cliRefusal, MODELS, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
let token: SoftHsm
beforeAll(async () => {
  token = await createSoftHsm()
})
afterAll(() => token.remove())

it("a device and a signing key in a token seal and open from the command line, one PIN a command", async () => {
  const env = { ...token.env, SEALWRIGHT_HOME: path.join(folder, "home") }
  const withPin = { env, descriptors: [`${token.pin}\n`] }
  const pin = ["--pin-fd", "3"]
  const place = ["--provider", "pkcs11", "--uri", token.uri()]
  const release = await cliJson<Key>(["keys", "create", "release-1", ...place, ...pin], withPin)
  expect(release).toMatchObject({ provider: "pkcs11", unlock: "pin", assurance: "software" })
  await cliJson<Key>(["keys", "create", "press-07", "--purpose", "device", ...place, ...pin], withPin)
  await cliJson(["device", "add", "press-07", "--key"], { env })
  const output = path.join(folder, "model.seal")
  const order = ["protect", path.join(MODELS, "wine-linear.onnx"), "--no-mark", "--device", "press-07"]
  const sealed = await cliJson<Protected>([...order, "-o", output, ...pin], withPin)
  expect(sealed.signedBy).toMatchObject({ key: "release-1" })
  const verdict = await cliJson<Verdict>(["verify", output, "--device", "press-07", ...pin], withPin)
  expect(verdict.verdict).toBe("verified")

  const open = ["open", output, "--device", "press-07", "-o", path.join(folder, "model.onnx")]
  const wrong = await cliRefusal([...open, ...pin], { env, descriptors: ["0000\n"] })
  expect(wrong).toMatchObject({ code: "TOKEN_PIN_WRONG", exitCode: 6 })
  expect(await cliRefusal(open, { env })).toMatchObject({ code: "PROMPT_UNAVAILABLE", exitCode: 6 })
})
