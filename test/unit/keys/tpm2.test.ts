import {
  createECDH,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  verify,
  X509Certificate,
} from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import net from "node:net"
import { once } from "node:events"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { Tpm, type TpmKey } from "../../../native/lib/tpm.ts"
import type { Key, KeyPlace } from "../../../main/contract/schema/keys.ts"
import { decryptBytes, encryptBytes } from "../../../main/core/age/file.ts"
import { parseRecipient } from "../../../main/core/age/recipients.ts"
import { concat, toUtf8 } from "../../../main/core/bytes/bytes.ts"
import { localPorts } from "../../../main/platform/ports.ts"
import type { NewKey } from "../../../main/services/ports/keys.ts"
import type { Ports } from "../../../main/services/ports.ts"
import { scriptedPrompter, type ScriptedPrompter } from "../../support/prompter.ts"
import { startSwtpm, type Swtpm } from "../../support/swtpm.ts"
import { flush, importKey } from "../../support/tpm-keys.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const message = toUtf8("ship it")
const random = (size: number) => new Uint8Array(randomBytes(size))

let chip: Swtpm
beforeAll(async () => {
  chip = await startSwtpm({ certificates: true })
})
afterAll(async () => chip.stop())

/** Ports over the suite's TPM. Their connection must be closed before another program talks to it: `close` does. */
function openPorts(
  prompter: ScriptedPrompter = scriptedPrompter(),
  tcti = chip.tcti,
  workspace = temporaryFolder(),
) {
  const { ports, close } = localPorts(workspace, { prompter, tcti })
  onTestFinished(close)
  return { ports, close, workspace }
}

type TpmPlace = Extract<KeyPlace, { readonly provider: "tpm2" }>
const wanted = (name: string, options: Partial<NewKey> = {}, place: Partial<TpmPlace> = {}): NewKey => ({
  name,
  purpose: "device",
  algorithm: "P-256",
  ...options,
  place: { provider: "tpm2", tcti: null, adopt: null, persistent: false, auth: false, pcrs: [], ...place },
})

async function opensWhatItIsGiven({ keys }: Ports, key: Key): Promise<boolean> {
  const file = encryptBytes(message, [parseRecipient(key.recipient ?? "")], random)
  return Buffer.from(await decryptBytes(file, [await keys.identity(key)])).equals(message)
}

async function nothingIsLeft(tpm: Swtpm): Promise<void> {
  expect(await tpm.tool("tpm2_getcap", "handles-transient")).toBe("")
  expect(await tpm.tool("tpm2_getcap", "handles-loaded-session")).toBe("")
}

describe("keys in a TPM", () => {
  it.each([
    { name: "kept as a blob", place: {} },
    { name: "kept inside the TPM", place: { persistent: true } },
    { name: "bound to PCRs", place: { pcrs: [0, 23] } },
    { name: "with an authorisation value", place: { auth: true } },
    { name: "with all of it", place: { auth: true, pcrs: [23], persistent: true } },
  ])("open files and leave nothing in the TPM, $name", async ({ place }) => {
    const prompter = scriptedPrompter("tpm secret")
    const { ports, close } = openPorts(prompter)
    const key = await ports.keys.create(wanted("press", {}, place))
    expect(key).toMatchObject({ provider: "tpm2", assurance: "hardware" })
    if (place.auth === true) {
      await expect(ports.keys.ecdh(key, pointOf(key))).toFailWithCode("PROMPT_UNAVAILABLE")
      return
    }
    expect(await opensWhatItIsGiven(ports, key)).toBe(true)
    await ports.keys.remove(key)
    await close()
    await nothingIsLeft(chip)
    expect(prompter.asked).toEqual([])
  })

  it("are unlocked once a process by their authorisation value", async () => {
    const prompter = scriptedPrompter("tpm secret", "tpm secret")
    const { ports } = openPorts(prompter)
    const key = await ports.keys.create(wanted("press", {}, { auth: true, pcrs: [23] }))
    for (let i = 0; i < 3; i += 1) expect(await opensWhatItIsGiven(ports, key)).toBe(true)
    expect(prompter.asked).toMatchObject([{ isNew: true }, { isNew: false, kind: "auth" }])
  })

  it("of the hybrid kind keep their ML-KEM seed sealed in the TPM", async () => {
    const { ports } = openPorts()
    const key = await ports.keys.create(wanted("press", { algorithm: "P-256+ML-KEM-768" }))
    expect(key.recipient).toMatch(/^age1tagpq1/)
    expect(await opensWhatItIsGiven(ports, key)).toBe(true)
  })

  it("sign so that anybody with the public key can check", async () => {
    const { ports } = openPorts()
    const key = await ports.keys.create(wanted("release", { purpose: "signing" }))
    for (let i = 0; i < 20; i += 1) {
      const signature = await ports.keys.sign(key, message)
      expect(verify("sha256", message, createPublicKey(key.publicKeyPem ?? ""), signature)).toBe(true)
    }
  })

  it("are refused where the TPM is another one", async () => {
    const other = await startSwtpm()
    onTestFinished(async () => other.stop())
    const { ports, workspace } = openPorts()
    const key = await ports.keys.create(wanted("press"))
    const elsewhere = openPorts(scriptedPrompter(), other.tcti, workspace)
    await expect(elsewhere.ports.keys.ecdh(key, pointOf(key))).toFailWithCode("TPM_KEY_FOREIGN")
    await elsewhere.close()
    await nothingIsLeft(other)
  })

  it("are refused after the TPM was cleared", async () => {
    const own = await startSwtpm()
    onTestFinished(async () => own.stop())
    const { ports, close, workspace } = openPorts(scriptedPrompter(), own.tcti)
    const key = await ports.keys.create(wanted("press"))
    await close()
    await own.tool("tpm2_clear")
    const after = openPorts(scriptedPrompter(), own.tcti, workspace)
    await expect(after.ports.keys.ecdh(key, pointOf(key))).toFailWithCode("TPM_KEY_FOREIGN")
  })

  it("bound to PCRs are refused once a PCR has changed", async () => {
    const own = await startSwtpm()
    onTestFinished(async () => own.stop())
    const { ports, close, workspace } = openPorts(scriptedPrompter(), own.tcti)
    const key = await ports.keys.create(wanted("press", {}, { pcrs: [7, 23] }))
    expect(await opensWhatItIsGiven(ports, key)).toBe(true)
    await close()
    await own.tool("tpm2_pcrextend", `23:sha256=${"ab".repeat(32)}`)
    const after = openPorts(scriptedPrompter(), own.tcti, workspace)
    await expect(after.ports.keys.ecdh(key, pointOf(key))).toFailWithCode("TPM_POLICY_REFUSED")
    await after.close()
    await nothingIsLeft(own)
  })

  it("tell the tries that are left, and that the TPM is locked, and never try by themselves", async () => {
    const own = await startSwtpm()
    onTestFinished(async () => own.stop())
    await own.tool("tpm2_dictionarylockout", "--setup-parameters", ...["-n", "2", "-t", "100", "-l", "100"])
    const prompter = scriptedPrompter("right", "wrong", "worse", "right")
    const { ports } = openPorts(prompter, own.tcti)
    const key = await ports.keys.create(wanted("press", {}, { auth: true }))
    await expect(ports.keys.ecdh(key, pointOf(key))).toFailWithCode("TPM_AUTH_WRONG")
    await expect(ports.keys.ecdh(key, pointOf(key))).toFailWithCode("TPM_AUTH_WRONG")
    await expect(ports.keys.ecdh(key, pointOf(key))).toFailWithCode("TPM_LOCKED")
    expect(prompter.asked.map(({ notice }) => notice)).toEqual([
      null,
      null,
      "1 try left before the TPM locks",
    ])
    const checks = await ports.keys.diagnose()
    expect(checks.find(({ id }) => id === "keys-tpm2")).toMatchObject({ result: "limited" })
  })

  it("are not made where no TPM answers", async () => {
    const nobody = net.createServer().listen(0, "127.0.0.1")
    await once(nobody, "listening")
    const address = nobody.address()
    const port = typeof address === "object" ? address?.port : 0
    nobody.close()
    await once(nobody, "close")
    const { ports } = openPorts(scriptedPrompter(), `swtpm:host=127.0.0.1,port=${port}`)
    await expect(ports.keys.create(wanted("press"))).toFailWithCode("TPM_ABSENT")
    const unknown = openPorts(scriptedPrompter(), "no-such-transport:")
    await expect(unknown.ports.keys.create(wanted("press"))).toFailWithCode("TPM_ABSENT")
  })

  it("made by tpm2-tools are taken over, used, and left where they are", async () => {
    const own = await startSwtpm()
    onTestFinished(async () => own.stop())
    await own.tool("tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc", "-c", "primary.ctx")
    for (const [use, handle] of [
      ["decrypt", "0x81000020"],
      ["sign", "0x81000021"],
    ]) {
      const attributes = `fixedtpm|fixedparent|sensitivedataorigin|userwithauth|${use}`
      const files = ["-u", "k.pub", "-r", "k.priv"]
      await own.tool("tpm2_create", "-Q", "-C", "primary.ctx", "-G", "ecc256", "-a", attributes, ...files)
      await flush(own)
      await own.tool("tpm2_load", "-Q", "-C", "primary.ctx", ...files, "-c", "k.ctx")
      await flush(own)
      await own.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "k.ctx", handle ?? "")
      await flush(own)
    }
    const { ports, close } = openPorts(scriptedPrompter(), own.tcti)
    const device = await ports.keys.create(wanted("press", {}, { adopt: 0x81000020 }))
    expect(device.assurance).toBe("hardware")
    expect(await opensWhatItIsGiven(ports, device)).toBe(true)
    const release = await ports.keys.create(wanted("release", { purpose: "signing" }, { adopt: 0x81000021 }))
    const signature = await ports.keys.sign(release, message)
    expect(verify("sha256", message, createPublicKey(release.publicKeyPem ?? ""), signature)).toBe(true)
    await expect(ports.keys.create(wanted("odd", {}, { adopt: 0x81000021 }))).toFailWithCode("TPM_UNSUITABLE")
    await expect(ports.keys.create(wanted("none", {}, { adopt: 0x81000022 }))).toFailWithCode(
      "TPM_HANDLE_EMPTY",
    )
    await ports.keys.remove(device)
    await close()
    expect(await own.tool("tpm2_getcap", "handles-persistent")).toContain("0x81000020")
  })

  it("brought in from outside are no better than software, and say why", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
    await importKey(
      chip,
      privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      0x81000030,
      "decrypt",
    )
    const { ports } = openPorts()
    const key = await ports.keys.create(wanted("press", {}, { adopt: 0x81000030 }))
    expect(key.assurance).toBe("software")
    expect((await ports.keys.assurance(key)).evidence.join(" ")).toContain("made elsewhere")
    expect(await opensWhatItIsGiven(ports, key)).toBe(true)
  })
})

describe("a TPM's proofs", () => {
  it("a quote passes tpm2_checkquote, and one over another nonce does not", async () => {
    const { ports, close } = openPorts()
    const key = await ports.keys.create(wanted("ak", { purpose: "attestation" }))
    const nonce = random(32)
    const { attestation, signature } = await ports.attestor.quote(key, [0, 7, 23], nonce)
    const values = await ports.attestor.readPcrs(key, [0, 7, 23])
    await close()
    writeFileSync(chip.at("ak.pem"), key.publicKeyPem ?? "")
    writeFileSync(chip.at("quote.msg"), attestation)
    writeFileSync(chip.at("quote.sig"), signature)
    const check = async (qualification: Uint8Array) =>
      chip.tool(
        "tpm2_checkquote",
        ...["-u", "ak.pem", "-m", "quote.msg", "-s", "quote.sig", "-g", "sha256"],
        ...["-q", Buffer.from(qualification).toString("hex")],
      )
    expect(await check(nonce)).toContain("sig: ")
    await expect(check(random(32))).rejects.toThrow("tpm2_checkquote")
    const digest = createHash("sha256")
      .update(concat(...values))
      .digest()
    expect(Buffer.from(attestation).includes(digest)).toBe(true)
  })

  it("a credential for its endorsement key is activated by us and by tpm2_activatecredential, and a forged one is not", async () => {
    const { ports, close } = openPorts()
    const key = await ports.keys.create(wanted("ak", { purpose: "attestation" }, { persistent: true }))
    const { publicArea, certificate } = await ports.attestor.endorsement("rsa-2048", key)
    const name = nameOf(await ports.attestor.publicArea(key))
    await close()
    const tpm = new Tpm(chip.tcti)
    const secret = random(32)
    const made = await tpm.makeCredential(sized(publicArea), name, secret)
    await tpm.close()

    const credential = { blob: sized(made.blob), secret: sized(made.seed) }
    const forged = { ...credential, blob: credential.blob.map((byte, at) => (at === 60 ? byte ^ 1 : byte)) }
    expect(await ports.attestor.activate("rsa-2048", key, credential)).toEqual(Buffer.from(secret))
    await expect(ports.attestor.activate("rsa-2048", key, forged)).toFailWithCode("TPM_KEY_FOREIGN")
    await close()

    writeFileSync(chip.at("credential"), concat(CREDENTIAL_MAGIC, credential.blob, credential.secret))
    await chip.tool("tpm2_createek", "-Q", "-G", "rsa", "-c", "ek.ctx")
    await flush(chip)
    await chip.tool("tpm2_startauthsession", "--policy-session", "-S", "session.ctx")
    await chip.tool("tpm2_policysecret", "-Q", "-S", "session.ctx", "-c", "e")
    const handle = key.location.slice(-"0x81000000".length)
    const files = ["-i", "credential", "-o", "activated"]
    await chip.tool(
      "tpm2_activatecredential",
      "-Q",
      "-c",
      handle,
      "-C",
      "ek.ctx",
      ...files,
      "-P",
      "session:session.ctx",
    )
    await flush(chip)
    expect(readFileSync(chip.at("activated"))).toEqual(Buffer.from(secret))
    const maker = new X509Certificate(certificate ?? "").publicKey.export({ format: "jwk" })
    expect(Buffer.from(publicArea).includes(Buffer.from(maker.n ?? "", "base64url"))).toBe(true)
  })

  it("certify says that a key is in the same TPM, for a nonce", async () => {
    const { ports } = openPorts()
    const by = await ports.keys.create(wanted("ak", { purpose: "attestation" }))
    const key = await ports.keys.create(wanted("press", {}, { pcrs: [23] }))
    const nonce = random(32)
    const { attestation, signature } = await ports.attestor.certify(key, by, nonce)
    expect(Buffer.from(attestation).readUInt32BE(0)).toBe(0xff544347)
    expect(Buffer.from(attestation).readUInt16BE(4)).toBe(0x8017)
    const name = nameOf(await ports.attestor.publicArea(key))
    expect(Buffer.from(attestation).includes(Buffer.from(nonce))).toBe(true)
    expect(Buffer.from(attestation).includes(Buffer.from(name))).toBe(true)
    const raw = Buffer.concat([signature.subarray(6, 38), signature.subarray(40)])
    const check = { key: createPublicKey(by.publicKeyPem ?? ""), dsaEncoding: "ieee-p1363" } as const
    expect(verify("sha256", attestation, check, raw)).toBe(true)
    await expect(ports.attestor.certify(key, key, nonce)).toFailWithCode("KEY_PURPOSE")
    await expect(ports.keys.sign(by, message)).toFailWithCode("KEY_PURPOSE")
  })

  it("a counter only goes up, even when it is removed and made again", async () => {
    const { ports } = openPorts()
    const index = 0x01800100
    const first = await ports.counters.define(null, index)
    expect(await ports.counters.increment(null, index)).toBe(first + 1n)
    expect(await ports.counters.read(null, index)).toBe(first + 1n)
    await expect(ports.counters.define(null, index)).toFailWithCode("TPM_EXISTS")
    await ports.counters.remove(null, index)
    await expect(ports.counters.read(null, index)).toFailWithCode("TPM_HANDLE_EMPTY")
    expect(await ports.counters.define(null, index)).toBeGreaterThan(first + 1n)
    await ports.counters.remove(null, index)
  })

  it("an index that is no counter, or may not be written, is refused as counter", async () => {
    const own = await startSwtpm()
    onTestFinished(async () => own.stop())
    await own.tool(
      "tpm2_nvdefine",
      "-Q",
      "0x01800200",
      "-C",
      "o",
      "-s",
      "8",
      "-a",
      "ownerread|ownerwrite|authread|authwrite",
    )
    await own.tool(
      "tpm2_nvdefine",
      "-Q",
      "0x01800201",
      "-C",
      "o",
      "-s",
      "8",
      "-a",
      "ownerread|ownerwrite|authread|nt=counter",
    )
    await flush(own)
    const { ports } = openPorts(scriptedPrompter(), own.tcti)
    await expect(ports.counters.increment(null, 0x01800200)).toFailWithCode("TPM_UNSUITABLE")
    await expect(ports.counters.increment(null, 0x01800201)).toFailWithCode("TPM_AUTH_WRONG")
    await expect(ports.counters.read(null, 0x01800201)).toFailWithCode("TPM_UNSUITABLE")
    await expect(ports.counters.read(null, 0x01c00002)).toFailWithCode("USAGE")
  })
})

it("a TPM that somebody else is talking to is busy, not waited for without end", async () => {
  const own = await startSwtpm()
  onTestFinished(async () => own.stop())
  const other = net.connect(Number(/port=(\d+)/.exec(own.tcti)?.[1]), "127.0.0.1")
  onTestFinished(() => void other.destroy())
  await once(other, "connect")
  const tpm = new Tpm(own.tcti, 200)
  await expect(tpm.readPcrs([0])).toFailWithCode("TPM_BUSY")
  await expect(tpm.readPcrs([0])).toFailWithCode("TPM_BUSY")
  await tpm.close()
})

it.each([null, 0x81000040])(
  "a connection that was open while the TPM was cleared finds out what is there now: %s",
  async (persistent) => {
    const own = await startSwtpm()
    onTestFinished(async () => own.stop())
    const tpm = new Tpm(own.tcti)
    onTestFinished(async () => tpm.close())
    const make = async () => tpm.createKey({ kind: "signing", auth: null, pcrs: [], persistent })
    const made = await make()
    const blob = referenceTo(made, null)
    const key: TpmKey =
      persistent === null ? blob : { ...blob, object: { kind: "persistent", handle: persistent } }
    const digest = random(32)
    await tpm.sign(key, digest)
    await own.tool("tpm2_clear")
    await expect(tpm.sign(key, digest)).toFailWithCode("TPM_KEY_FOREIGN")
    await tpm.sign(referenceTo(await make(), null), digest)
  },
)

it("1,000 commands that fail in different ways leave the TPM able to serve, with nothing left behind", async () => {
  const tpm = new Tpm(chip.tcti)
  onTestFinished(async () => tpm.close().catch(() => {}))
  const made = await tpm.createKey({ kind: "device", auth: toUtf8("right"), pcrs: [], persistent: null })
  const bound = await tpm.createKey({ kind: "attestation", auth: null, pcrs: [23], persistent: null })
  const key = referenceTo(made, toUtf8("right"))
  const point = createECDH("prime256v1").generateKeys()
  const [x, y] = [point.subarray(1, 33), point.subarray(33)]
  const damaged = made.private.map((byte, index) => (index === 40 ? byte ^ 1 : byte))
  const quick: (() => Promise<unknown>)[] = [
    () => tpm.ecdh(key, x, x),
    () =>
      tpm.ecdh({ ...key, object: { kind: "blob", public: made.public, private: damaged }, name: null }, x, y),
    () => tpm.ecdh({ ...key, name: bound.name }, x, y),
    () => tpm.sign(key, random(32)),
    () => tpm.ecdh({ ...key, object: { kind: "persistent", handle: 0x81000fff } }, x, y),
    () => tpm.quote(key, [0], random(8)),
    () => tpm.activateCredential("p-256", referenceTo(bound, null), { blob: random(60), seed: random(68) }),
    () => tpm.readCounter(0x01800fff),
    () =>
      tpm.describeKey({ ...key, object: { kind: "blob", public: random(80), private: damaged }, name: null }),
  ]
  const slow = [
    () => tpm.certify(key, key, random(8)),
    () => tpm.activateCredential("p-256", referenceTo(bound, null), { blob: random(60), seed: random(68) }),
  ]
  for (let i = 0; i < 1000; i += 1) {
    // The two that make an endorsement key or load two keys take longest: every tenth is one of them.
    const failing = i % 10 === 0 ? slow[(i / 10) % slow.length] : quick[i % quick.length]
    await expect(failing).rejects.toMatchObject({ name: "AppError" })
  }
  expect(await tpm.ecdh(key, x, y)).toHaveLength(32)
  await tpm.close()
  await nothingIsLeft(chip)
})

function referenceTo(made: Awaited<ReturnType<Tpm["createKey"]>>, auth: Uint8Array | null): TpmKey {
  const object = { kind: "blob", public: made.public, private: made.private } as const
  return { object, name: made.name, parentName: made.parentName, auth, pcrs: [] }
}

/** What tpm2-tools write in front of a credential: magic and version. */
const CREDENTIAL_MAGIC = Uint8Array.of(0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1)

/** TPM 2.0 part 1, 16: the hash algorithm and the hash of the public area. */
function nameOf(publicArea: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(0, 0x0b), createHash("sha256").update(publicArea).digest())
}

function sized(bytes: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes)
}

function pointOf(key: Key): Uint8Array {
  const { x, y } = createPublicKey(key.publicKeyPem ?? "").export({ format: "jwk" })
  return Buffer.concat([Buffer.of(4), Buffer.from(x ?? "", "base64url"), Buffer.from(y ?? "", "base64url")])
}
