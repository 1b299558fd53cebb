/** Debian's age opens files with device keys that live in a TPM and in a token, through our plugin. */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Key, KeyPlace } from "../../main/contract/schema/keys.ts"
import { encryptBytes } from "../../main/core/age/file.ts"
import { pluginIdentityText } from "../../main/core/age/plugin-identity.ts"
import { parseRecipient } from "../../main/core/age/recipients.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { scriptedPrompter } from "../support/prompter.ts"
import { seededRandom } from "../support/seeded-random.ts"
import { createSoftHsm, type SoftHsm } from "../support/softhsm.ts"
import { startSwtpm, type Swtpm } from "../support/swtpm.ts"
import { atTerminal } from "../support/terminal.ts"
import { ROOT, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const workspace = path.join(folder, "workspace")
const plain = Buffer.from("seventy thousand bytes".repeat(3200))
const random = seededRandom(22)
const AUTH = "value of the key"
let chip: Swtpm
let token: SoftHsm
let env: NodeJS.ProcessEnv
const keys = new Map<string, Key>()

beforeAll(async () => {
  ;[chip, token] = await Promise.all([startSwtpm(), createSoftHsm()])
  const bin = path.join(folder, "bin")
  mkdirSync(bin)
  for (const name of ["age-plugin-sealwright", "age-plugin-tag", "age-plugin-tagpq"])
    symlinkSync(path.join(ROOT, "main/cli/age-plugin.mjs"), path.join(bin, name))
  env = {
    ...process.env,
    ...token.env,
    PATH: `${bin}:${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
    SEALWRIGHT_HOME: workspace,
    SEALWRIGHT_TCTI: chip.tcti,
  }
  Object.assign(process.env, token.env)
  const { ports, close } = localPorts(workspace, {
    prompter: scriptedPrompter(AUTH, token.pin),
    tcti: chip.tcti,
  })
  const tpm: KeyPlace = {
    ...{ provider: "tpm2", tcti: null, adopt: null, persistent: false },
    ...{ auth: false, pcrs: [] },
  }
  const places: readonly (readonly [string, KeyPlace, "P-256" | "P-256+ML-KEM-768"])[] = [
    ["tpm", tpm, "P-256"],
    ["tpm-hybrid", tpm, "P-256+ML-KEM-768"],
    ["tpm-auth", { ...tpm, auth: true }, "P-256"],
    ["token", { provider: "pkcs11", uri: token.uri(), adopt: false }, "P-256"],
  ]
  for (const [name, place, algorithm] of places)
    keys.set(name, await ports.keys.create({ name, purpose: "device", algorithm, place }))
  await close()
})
afterAll(async () => {
  await chip.stop()
  token.remove()
})

/** A file sealed to the key's recipient, and the identity file that names the key. */
function sealedTo(name: string): { readonly file: string; readonly identity: string; readonly out: string } {
  const at = (suffix: string) => path.join(folder, `${name}.${suffix}`)
  writeFileSync(at("txt"), `${pluginIdentityText({ key: name, workspace: null })}\n`)
  writeFileSync(at("age"), encryptBytes(plain, [parseRecipient(keys.get(name)?.recipient ?? "")], random))
  return { file: at("age"), identity: at("txt"), out: at("out") }
}

describe("age -d", () => {
  it.each(["tpm", "tpm-hybrid"])("opens what was sealed to a key in a TPM: %s", (name) => {
    const { file, identity } = sealedTo(name)
    const { stdout, stderr } = spawnSync("age", ["-d", "-i", identity, file], { env })
    expect(stderr.toString()).toBe("")
    expect(stdout.equals(plain)).toBe(true)
  })

  it.each([
    { name: "tpm-auth", place: "a TPM, with the key's value", secret: () => AUTH },
    { name: "token", place: "a token, with the PIN", secret: () => token.pin },
  ])("opens what was sealed to a key in $place asked for at age's terminal", async ({ name, secret }) => {
    const { file, identity, out } = sealedTo(name)
    const words = ["age", "-d", "-i", identity, "-o", out, file]
    const { status } = await atTerminal(words, ["Enter what unlocks"], [`${secret()}\r`], env)
    expect(status).toBe(0)
    expect(readFileSync(out).equals(plain)).toBe(true)
  })

  it("opens nothing with a wrong PIN, and says so", async () => {
    const { file, identity, out } = sealedTo("token")
    const words = ["age", "-d", "-i", identity, "-o", `${out}-wrong`, file]
    const { status, screen } = await atTerminal(words, ["Enter what unlocks"], ["0000\r"], env)
    expect(status).not.toBe(0)
    expect(screen).toContain("the PIN is wrong")
    expect(() => readFileSync(`${out}-wrong`)).toThrow("ENOENT")
  })

  it("leaves nothing loaded in the TPM", async () => {
    expect(await chip.tool("tpm2_getcap", "handles-transient")).toBe("")
    expect(await chip.tool("tpm2_getcap", "handles-loaded-session")).toBe("")
  })
})
