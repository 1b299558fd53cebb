/** What SoftHSM cannot be: locked, read-only, without a mechanism. A module in front of it makes it so. */
import { execFileSync } from "node:child_process"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { createPublicKey, verify } from "node:crypto"
import { toUtf8 } from "../../../main/core/bytes/bytes.ts"
import { localPorts } from "../../../main/platform/ports.ts"
import type { NewKey } from "../../../main/services/ports/keys.ts"
import { scriptedPrompter } from "../../support/prompter.ts"
import { createSoftHsm, SOFTHSM_MODULE, type SoftHsm } from "../../support/softhsm.ts"
import { ROOT, sharedFolder, temporaryFolder } from "../../support/workspace.ts"

const folder = sharedFolder()
const message = toUtf8("ship it")
let token: SoftHsm
beforeAll(async () => {
  token = await createSoftHsm()
  process.env["SOFTHSM2_CONF"] = token.env.SOFTHSM2_CONF
})
afterAll(() => token.remove())

/** The URI of the token through a module that is one of these. */
function through(kind: string, attributes = ""): string {
  const module = path.join(folder, `${kind.replace("=", "-")}.so`)
  const includes = path.join(ROOT, "node_modules/pkcs11js/includes/pkcs11")
  const source = path.join(ROOT, "test/support/strict-module.c")
  const defines = [`-D${kind}`, `-DMODULE="${SOFTHSM_MODULE}"`]
  execFileSync("cc", ["-shared", "-fPIC", ...defines, `-I${includes}`, "-o", module, source])
  return `${token.uri(attributes).split("?")[0] ?? ""}?module-path=${module}`
}

function open(...answers: readonly string[]) {
  const prompter = scriptedPrompter(...answers)
  const { ports, close } = localPorts(temporaryFolder(), { prompter })
  onTestFinished(close)
  return { ports, prompter }
}

const wanted = (name: string, uri: string, adopt = false): NewKey => ({
  ...{ name, purpose: "signing", algorithm: "P-256" },
  place: { provider: "pkcs11", uri, adopt },
})

describe("a token", () => {
  it("whose PIN is locked asks nobody for it", async () => {
    const { ports, prompter } = open(token.pin)
    await expect(ports.keys.create(wanted("a", through("LOCKED")))).toFailWithCode("TOKEN_PIN_LOCKED")
    expect(prompter.asked).toEqual([])
  })

  it("that turns out to be locked at the login is asked once", async () => {
    const { ports, prompter } = open(token.pin, token.pin)
    await expect(ports.keys.create(wanted("a", through("LOCKS")))).toFailWithCode("TOKEN_PIN_LOCKED")
    expect(prompter.asked).toHaveLength(1)
  })

  it("that is read-only makes no keys, and uses those it has", async () => {
    const first = open(token.pin)
    await first.ports.keys.create(wanted("before", token.uri("object=before")))
    const { ports } = open(token.pin)
    const uri = through("READ_ONLY", "object=before")
    await expect(ports.keys.create(wanted("new", uri))).toFailWithCode("TOKEN_READ_ONLY")
    const key = await ports.keys.create(wanted("old", uri, true))
    const signature = await ports.keys.sign(key, message)
    expect(verify("sha256", message, createPublicKey(key.publicKeyPem ?? ""), signature)).toBe(true)
  })

  it("without a mechanism says so before it is used", async () => {
    const { ports } = open(token.pin)
    const make = async (mechanism: string) =>
      ports.keys.create(wanted("new", through(`MISSING=${mechanism}`)))
    await expect(make("CKM_EC_KEY_PAIR_GEN")).toFailWithCode("TOKEN_UNSUITABLE")
    const { ports: others } = open(token.pin)
    const uri = through("MISSING=CKM_ECDSA", "object=before")
    const key = await others.keys.create(wanted("old", uri, true))
    await expect(others.keys.sign(key, message)).toFailWithCode("TOKEN_UNSUITABLE")
  })
  it("that knows RSA-PSS and not with SHA-256 says that it is unsuitable", async () => {
    const at = ["--module", SOFTHSM_MODULE, "--login", "--pin", token.pin, "--token-label", "desk"]
    const make = ["--keypairgen", "--key-type", "rsa:2048", "--label", "old-rsa", "--usage-sign"]
    await token.tool("pkcs11-tool", ...at, ...make)
    const { ports } = open(token.pin)
    const uri = through("REFUSED=CKM_RSA_PKCS_PSS", "object=old-rsa")
    const key = await ports.keys.create(wanted("old", uri, true))
    await expect(ports.keys.sign(key, message)).toFailWithCode("TOKEN_UNSUITABLE")
  })
})
