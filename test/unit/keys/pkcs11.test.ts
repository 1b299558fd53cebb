import { constants, createECDH, createPublicKey, publicEncrypt, randomBytes, verify } from "node:crypto"
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import type { Key, KeyPlace } from "../../../main/contract/schema/keys.ts"
import { decryptBytes, encryptBytes } from "../../../main/core/age/file.ts"
import { parseRecipient } from "../../../main/core/age/recipients.ts"
import { toUtf8 } from "../../../main/core/bytes/bytes.ts"
import { parseUri, toUri } from "../../../main/platform/keys/pkcs11/uri.ts"
import { localPorts } from "../../../main/platform/ports.ts"
import type { NewKey } from "../../../main/services/ports/keys.ts"
import type { Ports } from "../../../main/services/ports.ts"
import { scriptedPrompter, type ScriptedPrompter } from "../../support/prompter.ts"
import { createSoftHsm, SOFTHSM_MODULE, type SoftHsm } from "../../support/softhsm.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const message = toUtf8("ship it")
const HASHES = { sha1: "SHA-1", sha256: "SHA256" } as const
const random = (size: number) => new Uint8Array(randomBytes(size))
const before = process.env["SOFTHSM2_CONF"]

let token: SoftHsm
beforeAll(async () => {
  token = await createSoftHsm()
})
afterAll(() => {
  token.remove()
  useToken(before)
})

/** The module reads its configuration when its process starts, so each suite's file goes into the environment before. */
function useToken(config: string | undefined): void {
  if (config === undefined) delete process.env["SOFTHSM2_CONF"]
  else process.env["SOFTHSM2_CONF"] = config
}

function openPorts(prompter: ScriptedPrompter = scriptedPrompter(token.pin), own: SoftHsm = token): Ports {
  useToken(own.env.SOFTHSM2_CONF)
  const { ports, close } = localPorts(temporaryFolder(), { prompter })
  onTestFinished(close)
  return ports
}

type TokenPlace = Extract<KeyPlace, { readonly provider: "pkcs11" }>
const wanted = (name: string, options: Partial<NewKey> = {}, place: Partial<TokenPlace> = {}): NewKey => ({
  name,
  purpose: "device",
  algorithm: "P-256",
  ...options,
  place: { provider: "pkcs11", uri: token.uri(), adopt: false, ...place },
})

async function opensWhatItIsGiven({ keys }: Ports, key: Key): Promise<boolean> {
  const file = encryptBytes(message, [parseRecipient(key.recipient ?? "")], random)
  return Buffer.from(await decryptBytes(file, [await keys.identity(key)])).equals(message)
}

describe("keys in a token", () => {
  it("open files and sign, with the PIN asked for once", async () => {
    const prompter = scriptedPrompter(token.pin)
    const ports = openPorts(prompter)
    const device = await ports.keys.create(wanted("press"))
    const release = await ports.keys.create(wanted("release", { purpose: "signing" }))
    for (let i = 0; i < 20; i += 1) {
      expect(await opensWhatItIsGiven(ports, device)).toBe(true)
      const signature = await ports.keys.sign(release, message)
      expect(verify("sha256", message, createPublicKey(release.publicKeyPem ?? ""), signature)).toBe(true)
    }
    expect(prompter.asked).toMatchObject([{ kind: "pin", subject: "token desk", notice: null }])
  })

  it("of SoftHSM are at level software, because its module does not claim to be a device", async () => {
    const ports = openPorts()
    const key = await ports.keys.create(wanted("honest"))
    expect(key.assurance).toBe("software")
    const { evidence } = await ports.keys.assurance(key)
    expect(evidence.join("\n")).toMatch(
      /does not call it a hardware device[\s\S]*token made the key[\s\S]*never could leave/,
    )
  })

  it("made here are usable by pkcs11-tool", async () => {
    const ports = openPorts()
    const key = await ports.keys.create(wanted("theirs"))
    const other = createECDH("prime256v1")
    other.generateKeys()
    writeFileSync(token.at("peer.der"), spkiOf(other.getPublicKey()))
    await token.tool(
      "pkcs11-tool",
      ...["--module", SOFTHSM_MODULE, "--login", "--pin", token.pin, "--token-label", "desk"],
      ...[
        "--derive",
        "--mechanism",
        "ECDH1-DERIVE",
        "--id",
        idOf(key),
        "--input-file",
        "peer.der",
        "-o",
        "shared",
      ],
    )
    const shared = other.computeSecret(pointOf(key))
    expect(readFileSync(token.at("shared"))).toEqual(shared)
    expect(await ports.keys.ecdh(key, other.getPublicKey())).toEqual(Uint8Array.from(shared))
  })

  it("made by pkcs11-tool are taken over, used, and left in the token", async () => {
    const at = ["--module", SOFTHSM_MODULE, "--login", "--pin", token.pin, "--token-label", "desk"]
    const make = async (type: string, label: string, id: string, ...use: string[]) =>
      token.tool(
        "pkcs11-tool",
        ...at,
        "--keypairgen",
        "--key-type",
        type,
        "--label",
        label,
        "--id",
        id,
        ...use,
      )
    await make("EC:prime256v1", "old-device", "a1", "--usage-derive")
    await make("EC:prime256v1", "old-signer", "a2", "--usage-sign")
    await make("rsa:2048", "old-rsa", "a3", "--usage-sign")
    await make("EC:secp384r1", "old-384", "a4", "--usage-sign")
    const ports = openPorts()
    const adopt = (name: string, attributes: string, purpose: Key["purpose"]) =>
      ports.keys.create(wanted(name, { purpose }, { uri: token.uri(attributes), adopt: true }))
    const device = await adopt("press", "object=old-device", "device")
    expect(await opensWhatItIsGiven(ports, device)).toBe(true)
    const signer = await adopt("signer", "id=%a2", "signing")
    const signature = await ports.keys.sign(signer, message)
    expect(verify("sha256", message, createPublicKey(signer.publicKeyPem ?? ""), signature)).toBe(true)
    const rsa = await adopt("rsa", "object=old-rsa", "signing")
    expect(rsa.algorithm).toBe("RSA")
    const check = {
      key: createPublicKey(rsa.publicKeyPem ?? ""),
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: 32,
    }
    expect(verify("sha256", message, check, await ports.keys.sign(rsa, message))).toBe(true)
    await expect(adopt("odd", "object=old-384", "signing")).toFailWithCode("TOKEN_UNSUITABLE")
    await expect(adopt("odd", "object=old-rsa", "device")).toFailWithCode("KEY_PURPOSE")
    await expect(adopt("odd", "object=nothing", "device")).toFailWithCode("TOKEN_KEY_MISSING")
    await ports.keys.remove(device)
    expect(await token.tool("pkcs11-tool", ...at, "--list-objects")).toContain("old-device")
  })

  it("made here are gone from the token when they are removed", async () => {
    const ports = openPorts()
    const key = await ports.keys.create(wanted("short-lived"))
    await ports.keys.remove(key)
    const place = { uri: token.uri("object=short-lived"), adopt: true }
    await expect(ports.keys.create(wanted("again", {}, place))).toFailWithCode("TOKEN_KEY_MISSING")
  })

  it("that only sign refuse to derive", async () => {
    const ports = openPorts()
    await ports.keys.create(wanted("only-signs", { purpose: "signing" }))
    const place = { uri: token.uri("object=only-signs"), adopt: true }
    const key = await ports.keys.create(wanted("pretender", {}, place))
    await expect(ports.keys.ecdh(key, pointOf(key))).toFailWithCode("TOKEN_UNSUITABLE")
  })

  it("on RSA that could only decrypt are no device keys, where the token lacks OAEP with SHA-256 above all", async () => {
    const at = ["--module", SOFTHSM_MODULE, "--login", "--pin", token.pin, "--token-label", "desk"]
    const label = ["--label", "old-decrypter", "--id", "a5"]
    await token.tool(
      "pkcs11-tool",
      ...at,
      "--keypairgen",
      "--key-type",
      "rsa:2048",
      ...label,
      "--usage-decrypt",
    )
    await token.tool("pkcs11-tool", ...at, "--read-object", "--type", "pubkey", "--id", "a5", "-o", "rsa.der")
    const key = createPublicKey({ key: readFileSync(token.at("rsa.der")), format: "der", type: "spki" })
    const decrypt = async (oaepHash: "sha1" | "sha256") => {
      const padding = constants.RSA_PKCS1_OAEP_PADDING
      writeFileSync(token.at("sealed"), publicEncrypt({ key, padding, oaepHash }, message))
      const how = ["--mechanism", "RSA-PKCS-OAEP", "--hash-algorithm", HASHES[oaepHash], "--id", "a5"]
      await token.tool("pkcs11-tool", ...at, "--decrypt", ...how, "--input-file", "sealed", "-o", "opened")
      return readFileSync(token.at("opened"))
    }
    // The token itself, asked by somebody else's program: it has the mechanism, and not with this hash.
    expect(await decrypt("sha1")).toEqual(Buffer.from(message))
    await expect(decrypt("sha256")).rejects.toThrow(/CKR_ARGUMENTS_BAD|CKR_MECHANISM_PARAM_INVALID/)
    const ports = openPorts()
    const place = { uri: token.uri("object=old-decrypter"), adopt: true }
    await expect(ports.keys.create(wanted("press", {}, place))).toFailWithCode("KEY_PURPOSE")
    expect(await ports.keys.list()).toEqual([])
  })

  it("refuse a point that is not on the curve before the token sees it", async () => {
    const ports = openPorts()
    const key = await ports.keys.create(wanted("careful"))
    const point = Uint8Array.from(pointOf(key))
    point[64] = (point[64] ?? 0) ^ 1
    await expect(ports.keys.ecdh(key, point)).toFailWithCode("AGE_MALFORMED")
  })
})

describe("a token", () => {
  it("is given a wrong PIN once, and the next question says so where the token tells", async () => {
    const own = await createSoftHsm("pins")
    onTestFinished(() => own.remove())
    const prompter = scriptedPrompter("wrong", own.pin)
    const ports = openPorts(prompter, own)
    const place = { uri: own.uri() }
    await expect(ports.keys.create(wanted("press", {}, place))).toFailWithCode("TOKEN_PIN_WRONG")
    expect(prompter.asked).toHaveLength(1)
    await ports.keys.create(wanted("press", {}, place))
    expect(prompter.asked[1]?.notice).toContain("few tries are left")
  })

  it("that is removed in the middle of a batch ends it with one clear refusal, and the batch goes on once it is back", async () => {
    const own = await createSoftHsm("moving")
    onTestFinished(() => own.remove())
    const prompter = scriptedPrompter(own.pin, own.pin)
    const ports = openPorts(prompter, own)
    const key = await ports.keys.create(wanted("press", {}, { uri: own.uri() }))
    const done: number[] = []
    let wasRemoved = false
    const batch = async () => {
      for (let i = done.length; i < 6; i += 1) {
        if (i === 3 && !wasRemoved) renameSync(own.tokens, `${own.tokens}-away`)
        wasRemoved = i >= 3
        await ports.keys.ecdh(key, pointOf(key))
        done.push(i)
      }
    }
    await expect(batch()).toFailWithCode("TOKEN_REMOVED")
    await expect(ports.keys.ecdh(key, pointOf(key))).toFailWithCode("TOKEN_ABSENT")
    renameSync(`${own.tokens}-away`, own.tokens)
    await batch()
    expect(done).toEqual([0, 1, 2, 3, 4, 5])
    expect(prompter.asked).toHaveLength(2)
  })

  it("that is not there, and a module that is not one, are told apart from a wrong URI", async () => {
    const ports = openPorts()
    const create = (uri: string) => ports.keys.create(wanted("press", {}, { uri }))
    await expect(create(`pkcs11:token=other?module-path=${SOFTHSM_MODULE}`)).toFailWithCode("TOKEN_ABSENT")
    await expect(create("pkcs11:token=desk?module-path=/bin/true")).toFailWithCode("TOKEN_ABSENT")
    await expect(create("pkcs11:token=desk")).toFailWithCode("TOKEN_URI_INVALID")
  })

  it("shows up in the diagnosis", async () => {
    const checks = await openPorts().keys.diagnose()
    const found = checks.find(({ id }) => id === "keys-pkcs11-softhsm2")
    expect(found).toMatchObject({ result: "ok" })
    expect(found?.detail).toContain("desk (SoftHSM v2")
  })
})

describe("a PKCS#11 URI", () => {
  it("comes back from its text, whatever the label and id hold", () => {
    const target = {
      ...{ module: "/usr/lib/a b.so", token: "Büro; 1", serial: "00ff", manufacturer: null, model: null },
      ...{ slotId: null, object: "key?=&%", id: Uint8Array.of(0, 0x3b, 0xff) },
    }
    expect(parseUri(toUri(target))).toEqual(target)
  })

  it.each([
    "https://example",
    "pkcs11:token=a;token=b?module-path=/m.so",
    "pkcs11:colour=red?module-path=/m.so",
    "pkcs11:token=a?module-path=m.so",
    "pkcs11:token=a?module-path=/m.so&pin-value=1234",
    "pkcs11:token=a?module-path=/m.so&pin-source=file:/pin",
    "pkcs11:token=%zz?module-path=/m.so",
    "pkcs11:token?module-path=/m.so",
    "pkcs11:type=cert?module-path=/m.so",
    "pkcs11:slot-id=x?module-path=/m.so",
    "pkcs11:?module-name=../evil",
    "pkcs11:?module-name=no-such-module-here",
  ])("is refused: %s", async (text) => {
    await expect(() => parseUri(text)).toFailWithCode("TOKEN_URI_INVALID")
  })
})

function pointOf(key: Key): Uint8Array {
  const { x, y } = createPublicKey(key.publicKeyPem ?? "").export({ format: "jwk" })
  return Buffer.concat([Buffer.of(4), Buffer.from(x ?? "", "base64url"), Buffer.from(y ?? "", "base64url")])
}

/** CKA_ID in hex, from the URI. */
function idOf(key: Key): string {
  return Buffer.from(parseUri(key.location).id ?? new Uint8Array(0)).toString("hex")
}

function spkiOf(point: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex"), point])
}
