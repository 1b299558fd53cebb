import path from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { DoctorCheck } from "../../main/contract/schema/doctor.ts"
import type { Device, Key } from "../../main/contract/schema/keys.ts"
import type { Protected } from "../../main/contract/schema/protect.ts"
import type { Verdict } from "../../main/contract/schema/verify.ts"
import { startSwtpm, type Swtpm } from "../support/swtpm.ts"
import { cliJson, cliRefusal, MODELS, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const MODEL = path.join(MODELS, "wine-linear.onnx")
let chip: Swtpm
beforeAll(async () => {
  chip = await startSwtpm()
})
afterAll(async () => chip.stop())

it("a device and a signing key in a TPM seal and open a model from the command line", async () => {
  const options = { env: { SEALWRIGHT_HOME: path.join(folder, "home"), SEALWRIGHT_TCTI: chip.tcti } }
  const provider = ["--provider", "tpm2"]
  const release = await cliJson<Key>(
    ["keys", "create", "release-1", ...provider, "--tcti", chip.tcti],
    options,
  )
  expect(release).toMatchObject({ assurance: "hardware", provider: "tpm2", purpose: "signing" })
  await cliJson<Key>(["keys", "create", "press-07", "--purpose", "device", ...provider], options)
  const device = await cliJson<Device>(["device", "add", "press-07", "--key"], options)
  expect(device).toMatchObject({ assurance: "hardware", recipientType: "p256tag" })

  const output = path.join(folder, "model.seal")
  const order = ["protect", MODEL, "--no-mark", "--device", "press-07", "-o", output]
  const sealed = await cliJson<Protected>(order, options)
  expect(sealed.signedBy).toMatchObject({ key: "release-1", assurance: "hardware" })
  expect(sealed.notApplied.map(({ what }) => what)).not.toContain("hardware device keys")
  const verdict = await cliJson<Verdict>(["verify", output, "--device", "press-07"], options)
  expect(verdict.verdict).toBe("verified")
  const doctor = await cliJson<DoctorCheck[]>(["keys", "doctor"], options)
  expect(doctor.find(({ id }) => id === "keys-tpm2")).toMatchObject({ result: "ok" })
  expect(await chip.tool("tpm2_getcap", "handles-transient")).toBe("")
})

it.each([
  { args: ["--handle", "0x90000000"], code: "USAGE" },
  { args: ["--pcrs", "1,99"], code: "USAGE" },
  { args: ["--tcti", "swtpm:host=127.0.0.1,port=1"], code: "TPM_ABSENT" },
])("refuses a key in a TPM with $args", async ({ args, code }) => {
  const refusal = await cliRefusal([
    "keys",
    "create",
    "odd",
    "--provider",
    "tpm2",
    ...args,
    "--workspace",
    folder,
  ])
  expect(refusal.code).toBe(code)
})
