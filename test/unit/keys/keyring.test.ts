import { createPublicKey, randomBytes, verify } from "node:crypto"
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import type { Key } from "../../../main/contract/schema/keys.ts"
import { decryptBytes, encryptBytes } from "../../../main/core/age/file.ts"
import { parseRecipient } from "../../../main/core/age/recipients.ts"
import { toUtf8 } from "../../../main/core/bytes/bytes.ts"
import { localPorts } from "../../../main/platform/ports.ts"
import type { NewKey } from "../../../main/services/ports/keys.ts"
import type { Ports } from "../../../main/services/ports.ts"
import { startSecretService, type SecretService } from "../../support/secret-service.ts"
import { cliRefusal, sharedFolder } from "../../support/workspace.ts"

const message = toUtf8("ship it")
const random = (size: number) => new Uint8Array(randomBytes(size))
const workspace = sharedFolder()

let service: SecretService
beforeAll(async () => {
  service = await startSecretService()
  // The library finds its bus as every program does; each suite runs in a process of its own.
  Object.assign(process.env, service.env)
})
afterAll(async () => service.stop())

function openPorts(): Ports {
  const { ports, close } = localPorts(workspace)
  onTestFinished(close)
  return ports
}

const wanted = (name: string, options: Partial<NewKey> = {}): NewKey => ({
  name,
  purpose: "device",
  algorithm: "P-256",
  place: { provider: "keyring" },
  ...options,
})

async function opensWhatItIsGiven({ keys }: Ports, key: Key): Promise<boolean> {
  const file = encryptBytes(message, [parseRecipient(key.recipient ?? "")], random)
  return Buffer.from(await decryptBytes(file, [await keys.identity(key)])).equals(message)
}

const diagnosis = async (ports: Ports) =>
  (await ports.keys.diagnose()).find(({ id }) => id === "keys-keyring")

describe("keys in the secret store of the operating system", () => {
  it.each(["P-256", "X25519", "P-256+ML-KEM-768"] as const)("open files, %s", async (algorithm) => {
    const ports = openPorts()
    const key = await ports.keys.create(wanted(`press-${algorithm.length}`, { algorithm }))
    expect(key).toMatchObject({ provider: "keyring", assurance: "software", unlock: "nothing" })
    expect(await opensWhatItIsGiven(openPorts(), key)).toBe(true)
  })

  it("sign so that anybody with the public key can check", async () => {
    const ports = openPorts()
    const key = await ports.keys.create(wanted("release", { purpose: "signing" }))
    const signature = await ports.keys.sign(key, message)
    expect(verify("sha256", message, createPublicKey(key.publicKeyPem ?? ""), signature)).toBe(true)
    expect((await ports.keys.assurance(key)).level).toBe("software")
    expect(await diagnosis(ports)).toMatchObject({ result: "ok" })
  })

  it("lie in the store and in no file of the workspace", () => {
    const names = readdirSync(workspace, { recursive: true, encoding: "utf8" })
    const files = names.map((name) => path.join(workspace, name)).filter((file) => statSync(file).isFile())
    expect(files.length).toBeGreaterThan(3)
    for (const file of files) expect(readFileSync(file, "latin1")).not.toMatch(/PRIVATE KEY|SECRET|SEED/)
    expect(service.files().length).toBeGreaterThan(0)
  })

  it("are gone from the store when they are removed", async () => {
    const ports = openPorts()
    const key = await ports.keys.create(wanted("short-lived", { purpose: "signing" }))
    const record = path.join(workspace, "keys/signing/short-lived.json")
    const text = readFileSync(record)
    await ports.keys.remove(key)
    // Whoever puts the record back has nothing of the key.
    writeFileSync(record, text)
    await expect(openPorts().keys.sign(key, message)).toFailWithCode("KEY_UNREADABLE")
    rmSync(record)
  })

  it("are not given out or made while the store is locked", async () => {
    const key = await openPorts().keys.find("release")
    await service.lock()
    const ports = openPorts()
    await expect(ports.keys.sign(key, message)).toFailWithCode("KEYRING_LOCKED")
    await expect(ports.keys.create(wanted("late"))).toFailWithCode("KEYRING_LOCKED")
    await expect(ports.keys.find("late")).toFailWithCode("KEY_NOT_FOUND")
  })

  it("are not made where no store answers", async () => {
    const env = { DBUS_SESSION_BUS_ADDRESS: `unix:path=${workspace}/nobody` }
    const refusal = await cliRefusal(
      ["keys", "create", "other", "--provider", "keyring", "--workspace", workspace],
      { env },
    )
    expect(refusal).toMatchObject({ code: "KEYRING_ABSENT", exitCode: 9 })
    expect(refusal.hint).toContain("gnome-keyring")
  })
})
