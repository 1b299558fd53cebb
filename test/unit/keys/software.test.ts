import { createPublicKey, verify } from "node:crypto"
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import type { Key } from "../../../main/contract/schema/keys.ts"
import { decryptBytes, encryptBytes } from "../../../main/core/age/file.ts"
import { parseRecipient } from "../../../main/core/age/recipients.ts"
import { toUtf8 } from "../../../main/core/bytes/bytes.ts"
import { softwareProvider } from "../../../main/platform/keys/software/provider.ts"
import { keyRecords, keyStore } from "../../../main/platform/keys/store.ts"
import { localPorts } from "../../../main/platform/ports.ts"
import type { KeyStore, NewKey } from "../../../main/services/ports/keys.ts"
import { scriptedPrompter, type ScriptedPrompter } from "../../support/prompter.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const PLAIN = { provider: "software", passphrase: false } as const
const SEALED = { provider: "software", passphrase: true } as const
/** The real cost is paid in test/cli/passphrase.test.ts. */
const CHEAP = { operations: 1, memoryBytes: 8 << 20 }
const random = (size: number) => crypto.getRandomValues(new Uint8Array(size))
const message = toUtf8("ship it")

function openKeys(workspace: string, prompter: ScriptedPrompter = scriptedPrompter()): KeyStore {
  const folder = path.join(workspace, "keys")
  const provider = softwareProvider(folder, random, prompter, CHEAP)
  onTestFinished(async () => provider.close())
  return keyStore(
    keyRecords(folder),
    [provider],
    () => new Date(),
    async () => {
      throw new Error("nothing is imported here")
    },
  )
}

const wanted = (name: string, options: Partial<NewKey> = {}): NewKey => ({
  name,
  purpose: "signing",
  algorithm: "P-256",
  place: PLAIN,
  ...options,
})

async function opensWhatItIsGiven(keys: KeyStore, key: Key): Promise<boolean> {
  const file = encryptBytes(message, [parseRecipient(key.recipient ?? "")], random)
  const plain = await decryptBytes(file, [await keys.identity(key)])
  return Buffer.from(plain).equals(message)
}

describe("software keys", () => {
  it.each(["P-256", "X25519", "P-256+ML-KEM-768"] as const)(
    "open files made for a %s device key",
    async (algorithm) => {
      const keys = openKeys(temporaryFolder())
      const key = await keys.create(wanted("press", { purpose: "device", algorithm }))
      expect(key.recipient).toMatch(/^age1(tag1|tagpq1)?/)
      expect(await opensWhatItIsGiven(keys, key)).toBe(true)
    },
  )

  it("sign so that anybody with the public key can check", async () => {
    const keys = openKeys(temporaryFolder())
    const key = await keys.create(wanted("release"))
    expect(
      verify("sha256", message, createPublicKey(key.publicKeyPem ?? ""), await keys.sign(key, message)),
    ).toBe(true)
  })

  it("of a workspace written before there were providers still sign and open", async () => {
    const workspace = temporaryFolder()
    const before = openKeys(workspace)
    await before.create(wanted("release"))
    await before.create(wanted("press", { purpose: "device", algorithm: "X25519" }))
    for (const file of ["signing/release.json", "device/press.json"]) {
      const target = path.join(workspace, "keys", file)
      const { place, evidence, location, unlock, ...old } = JSON.parse(readFileSync(target, "utf8"))
      expect([place, evidence, location, unlock]).not.toContain(undefined)
      writeFileSync(target, JSON.stringify(old))
    }
    const keys = openKeys(workspace)
    const release = await keys.find("release")
    expect(release).toMatchObject({ provider: "software", unlock: "nothing" })
    expect((await keys.sign(release, message)).length).toBeGreaterThan(60)
    expect(await opensWhatItIsGiven(keys, await keys.find("press"))).toBe(true)
  })

  it("do one ECDH that both sides agree on, and refuse a point off the curve", async () => {
    const keys = openKeys(temporaryFolder())
    const [one, two] = await Promise.all(
      ["one", "two"].map(async (name) => keys.create(wanted(name, { purpose: "device" }))),
    )
    if (one === undefined || two === undefined) throw new Error("two keys were made")
    expect(await keys.ecdh(one, pointOf(two))).toEqual(await keys.ecdh(two, pointOf(one)))
    const offCurve = Uint8Array.from(pointOf(two))
    offCurve[64] = (offCurve[64] ?? 0) ^ 1
    await expect(keys.ecdh(one, offCurve)).toFailWithCode("AGE_MALFORMED")
  })

  it("serve one purpose each", async () => {
    const keys = openKeys(temporaryFolder())
    const signing = await keys.create(wanted("release"))
    const device = await keys.create(wanted("press", { purpose: "device" }))
    await expect(keys.identity(signing)).toFailWithCode("KEY_PURPOSE")
    await expect(keys.ecdh(signing, pointOf(device))).toFailWithCode("KEY_PURPOSE")
    await expect(keys.sign(device, message)).toFailWithCode("KEY_PURPOSE")
    await expect(keys.create(wanted("odd", { algorithm: "X25519" }))).toFailWithCode("KEY_PURPOSE")
    await expect(keys.create(wanted("odd", { purpose: "attestation" }))).toFailWithCode("KEY_PURPOSE")
  })

  it("leave nothing behind when they are removed", async () => {
    const workspace = temporaryFolder()
    const keys = openKeys(workspace, scriptedPrompter("correct horse"))
    await keys.remove(await keys.create(wanted("plain")))
    await keys.remove(await keys.create(wanted("sealed", { place: SEALED })))
    expect(readdirSync(path.join(workspace, "keys", "signing"))).toEqual([])
  })
})

describe("software keys under a passphrase", () => {
  it("ask once a process, and the file holds nothing of the key", async () => {
    const workspace = temporaryFolder()
    await openKeys(workspace, scriptedPrompter("correct horse")).create(wanted("release", { place: SEALED }))
    const file = path.join(workspace, "keys", "signing", "release.sealed")
    expect(readFileSync(file, "utf8")).not.toContain("PRIVATE KEY")
    expect(statSync(file).mode & 0o777).toBe(0o600)

    const prompter = scriptedPrompter("correct horse")
    const keys = openKeys(workspace, prompter)
    const key = await keys.find("release")
    expect(key).toMatchObject({ unlock: "passphrase", assurance: "software" })
    for (let i = 0; i < 3; i += 1) {
      const signature = await keys.sign(key, message)
      expect(verify("sha256", message, createPublicKey(key.publicKeyPem ?? ""), signature)).toBe(true)
    }
    expect(prompter.asked).toHaveLength(1)
  })

  it("are not opened by another passphrase, and nothing is tried twice by itself", async () => {
    const workspace = temporaryFolder()
    await openKeys(workspace, scriptedPrompter("correct horse")).create(wanted("release", { place: SEALED }))
    const prompter = scriptedPrompter("wrong horse", "correct horse")
    const keys = openKeys(workspace, prompter)
    const key = await keys.find("release")
    await expect(keys.sign(key, message)).toFailWithCode("PASSPHRASE_WRONG")
    expect(prompter.asked).toHaveLength(1)
    expect(await keys.sign(key, message)).toBeInstanceOf(Uint8Array)
  })

  it("are not taken for one another when their files are exchanged", async () => {
    const workspace = temporaryFolder()
    const keys = openKeys(workspace, scriptedPrompter("same", "same", "same"))
    await keys.create(wanted("one", { place: SEALED }))
    const two = await keys.create(wanted("two", { place: SEALED }))
    const folder = path.join(workspace, "keys", "signing")
    copyFileSync(path.join(folder, "one.sealed"), path.join(folder, "two.sealed"))
    await expect(keys.sign(two, message)).toFailWithCode("PASSPHRASE_WRONG")
  })

  it("refuse a file that asks for more work or memory than its limits, before any is spent", async () => {
    const workspace = temporaryFolder()
    const keys = openKeys(workspace, scriptedPrompter("same"))
    const key = await keys.create(wanted("release", { place: SEALED }))
    const file = path.join(workspace, "keys", "signing", "release.sealed")
    const sealed = JSON.parse(readFileSync(file, "utf8"))
    for (const change of [{ memoryBytes: 2 ** 40 }, { operations: 1e9 }, { version: 2 }, { salt: "short" }]) {
      writeFileSync(file, JSON.stringify({ ...sealed, ...change }))
      await expect(keys.sign(key, message)).toFailWithCode("KEY_UNREADABLE")
    }
  })

  it("say that nobody can be asked when nobody is there", async () => {
    const { ports, close } = localPorts(temporaryFolder())
    onTestFinished(close)
    await expect(ports.keys.create(wanted("release", { place: SEALED }))).toFailWithCode("PROMPT_UNAVAILABLE")
    expect(await ports.keys.list()).toEqual([])
  })
})

it("a name that is taken is refused before anybody is asked for a passphrase", async () => {
  const prompter = scriptedPrompter()
  const workspace = temporaryFolder()
  mkdirSync(workspace, { recursive: true })
  const keys = openKeys(workspace, prompter)
  await keys.create(wanted("release"))
  await expect(keys.create(wanted("release", { place: SEALED }))).toFailWithCode("KEY_EXISTS")
  expect(prompter.asked).toEqual([])
})

it("a key takes as many certificates as a record holds, and is whole after one too many", async () => {
  const keys = openKeys(temporaryFolder())
  const key = await keys.create(wanted("release"))
  const chain = (count: number) => Array.from({ length: count }, (_, index) => Uint8Array.of(index))
  await expect(keys.attach(key, chain(33))).toFailWithCode("CERTIFICATE_MALFORMED")
  expect(await keys.chain(await keys.find("release"))).toEqual([])
  await keys.attach(key, chain(32))
  expect(await keys.chain(await keys.find("release"))).toEqual(chain(32))
})

function pointOf(key: Key): Uint8Array {
  const { x, y } = createPublicKey(key.publicKeyPem ?? "").export({ format: "jwk" })
  return Buffer.concat([Buffer.of(4), Buffer.from(x ?? "", "base64url"), Buffer.from(y ?? "", "base64url")])
}
