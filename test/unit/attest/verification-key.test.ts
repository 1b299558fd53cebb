import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto"
import { describe, expect, it } from "vitest"
import {
  isSignatureBy,
  parseVerificationKey,
  toVerificationKey,
} from "../../../main/core/attest/verification-key.ts"
import { ecdsaOver, newTestKey } from "../../support/software-signer.ts"

const pemOf = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString()
const key = newTestKey()
const message = new TextEncoder().encode("message")

describe("a verification key", () => {
  it("has the hash of its PEM text, final newline included, as hint", () => {
    expect(key.pem.endsWith("-----END PUBLIC KEY-----\n")).toBe(true)
    const { hint } = parseVerificationKey(key.pem)
    expect(hint).toBe(createHash("sha256").update(key.pem).digest("hex"))
    expect(hint).not.toBe(createHash("sha256").update(key.pem.trimEnd()).digest("hex"))
  })

  it("has the same hint however its PEM text was wrapped", () => {
    const crlf = key.pem.replaceAll("\n", "\r\n")
    expect(parseVerificationKey(crlf).hint).toBe(parseVerificationKey(key.pem).hint)
  })

  it("has the same hint when its curve is spelt out and its point compressed", () => {
    const explicit = generateKeyPairSync("ec", { namedCurve: "P-256", paramEncoding: "explicit" }).publicKey
    const plain = createPublicKey({ key: explicit.export({ format: "jwk" }), format: "jwk" })
    expect(pemOf(explicit)).not.toBe(pemOf(plain))
    expect(parseVerificationKey(pemOf(explicit)).hint).toBe(parseVerificationKey(pemOf(plain)).hint)
    const uncompressed = createPublicKey(key.pem).export({ type: "spki", format: "der" })
    const [x, y] = [uncompressed.subarray(27, 59), uncompressed.subarray(59)]
    const header = Buffer.from("3039301306072a8648ce3d020106082a8648ce3d030107032200", "hex")
    const point = Buffer.concat([Buffer.from([2 + ((y.at(-1) ?? 0) & 1)]), x])
    const text = Buffer.concat([header, point]).toString("base64")
    const compressed = `-----BEGIN PUBLIC KEY-----\n${text}\n-----END PUBLIC KEY-----\n`
    expect(parseVerificationKey(compressed).hint).toBe(parseVerificationKey(key.pem).hint)
  })

  it.each([
    ["RSA", pemOf(generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey)],
    ["Ed25519", pemOf(generateKeyPairSync("ed25519").publicKey)],
    ["X25519", pemOf(generateKeyPairSync("x25519").publicKey)],
    ["EC on secp256k1", pemOf(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey)],
  ])("is never of another kind: %s", async (_, pem) => {
    await expect(() => parseVerificationKey(pem)).toFailWithCode("KEY_PURPOSE")
  })

  it("is not derived from a private key", async () => {
    const pem = key.privateKey.export({ type: "pkcs8", format: "pem" }).toString()
    await expect(() => parseVerificationKey(pem)).toFailWithCode("KEY_UNREADABLE")
    expect(toVerificationKey(key.privateKey)).toBeNull()
  })

  it.each([
    ["nothing", ""],
    ["a label without a key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"],
    ["text before the block", `owner: me\n${key.pem}`],
    ["two blocks", `${key.pem}${key.pem}`],
  ])("is not read from %s", async (_, pem) => {
    await expect(() => parseVerificationKey(pem)).toFailWithCode("KEY_UNREADABLE")
  })
})

describe("a signature", () => {
  const own = parseVerificationKey(key.pem)
  const good = ecdsaOver(message, { privateKey: key.privateKey, curve: "P-256" })

  it("is good as the signer made it", () => expect(isSignatureBy(own, message, good)).toBe(true))

  it.each([
    ["cut", good.subarray(0, -1)],
    ["followed by a byte", Buffer.concat([good, Buffer.from([0])])],
    ["with a length in two octets", Buffer.concat([Buffer.from([0x30, 0x81]), good.subarray(1)])],
    ["empty", new Uint8Array()],
  ])("is bad when %s", (_, signature) => expect(isSignatureBy(own, message, signature)).toBe(false))
})
