import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { createHash, createPublicKey, sign } from "node:crypto"
import { describe, expect, it } from "vitest"
import { checkEnvelope, preAuthEncoding, signEnvelope } from "../../../main/core/attest/dsse.ts"
import { parseVerificationKey, toVerificationKey } from "../../../main/core/attest/verification-key.ts"
import { ecdsaOver, newTestKey } from "../../support/software-signer.ts"

const payload = new TextEncoder().encode("hello world")
const type = "http://example.com/HelloWorld"
const key = newTestKey()

describe("DSSE", () => {
  it("encodes type and payload as the protocol's example", () => {
    const encoded = new TextDecoder().decode(preAuthEncoding(type, payload))
    expect(encoded).toBe("DSSEv1 29 http://example.com/HelloWorld 11 hello world")
  })

  it("counts bytes, not characters", () => {
    const encoded = new TextDecoder().decode(preAuthEncoding("tüp", new TextEncoder().encode("€")))
    expect(encoded).toBe("DSSEv1 4 tüp 3 €")
  })

  it("verifies the signature in the protocol's example, once it is in DER", () => {
    // DSSE protocol, Test Vectors: the public point as two numbers, the signature as r‖s.
    const coordinate = (decimal: string) =>
      Buffer.from(BigInt(decimal).toString(16).padStart(64, "0"), "hex").toString("base64url")
    const example = toVerificationKey(
      createPublicKey({
        format: "jwk",
        key: {
          kty: "EC",
          crv: "P-256",
          x: coordinate("46950820868899156662930047687818585632848591499744589407958293238635476079160"),
          y: coordinate("5640078356564379163099075877009565129882514886557779369047442380624545832820"),
        },
      }),
    )
    if (example === null) throw new Error("not an EC key")
    const raw = Buffer.from(
      "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==",
      "base64",
    )
    const signature = Buffer.concat([
      Buffer.from("30440220", "hex"),
      raw.subarray(0, 32),
      Buffer.from("0220", "hex"),
      raw.subarray(32),
    ])
    expect(() => checkEnvelope({ payloadType: type, payload, signature }, example)).not.toThrow()
  })

  it("makes signatures that openssl verifies over the encoded bytes", async () => {
    const envelope = await signEnvelope(type, payload, key.signer)
    const folder = mkdtempSync(path.join(tmpdir(), "sealwright-dsse-"))
    try {
      const files = {
        pem: path.join(folder, "key.pem"),
        sig: path.join(folder, "sig"),
        pae: path.join(folder, "pae"),
      }
      writeFileSync(files.pem, key.pem)
      writeFileSync(files.sig, envelope.signature)
      writeFileSync(files.pae, preAuthEncoding(envelope.payloadType, envelope.payload))
      const args = ["dgst", "-sha256", "-verify", files.pem, "-signature", files.sig, files.pae]
      expect(execFileSync("openssl", args, { encoding: "utf8" })).toBe("Verified OK\n")
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("keeps the payload as it was given", async () => {
    const odd = new Uint8Array([0x7b, 0x20, 0x0a, 0xff, 0x00])
    expect((await signEnvelope(type, odd, key.signer)).payload).toEqual(odd)
  })

  it("refuses another payload, another type and another key", async () => {
    const envelope = await signEnvelope(type, payload, key.signer)
    const own = parseVerificationKey(key.pem)
    await expect(() => checkEnvelope({ ...envelope, payload: new Uint8Array([1]) }, own)).toFailWithCode(
      "SIGNATURE_INVALID",
    )
    await expect(() => checkEnvelope({ ...envelope, payloadType: `${type}s` }, own)).toFailWithCode(
      "SIGNATURE_INVALID",
    )
    await expect(() => checkEnvelope(envelope, parseVerificationKey(newTestKey().pem))).toFailWithCode(
      "SIGNATURE_INVALID",
    )
  })

  it("cannot be made to shift bytes between type and payload", async () => {
    const envelope = await signEnvelope("a", new TextEncoder().encode("b 1 c"), key.signer)
    const shifted = { ...envelope, payloadType: "a 5 b", payload: new TextEncoder().encode("1 c") }
    await expect(() => checkEnvelope(shifted, parseVerificationKey(key.pem))).toFailWithCode(
      "SIGNATURE_INVALID",
    )
  })

  it.each(["P-256", "P-384", "P-521"] as const)("hashes by the curve when checking: %s", async (curve) => {
    const { privateKey, pem } = newTestKey(curve)
    const signature = ecdsaOver(preAuthEncoding(type, payload), { privateKey, curve })
    expect(() =>
      checkEnvelope({ payloadType: type, payload, signature }, parseVerificationKey(pem)),
    ).not.toThrow()
    if (curve === "P-256") return
    const weaker = sign("sha256", preAuthEncoding(type, payload), privateKey)
    await expect(() =>
      checkEnvelope({ payloadType: type, payload, signature: weaker }, parseVerificationKey(pem)),
    ).toFailWithCode("SIGNATURE_INVALID")
  })

  it("refuses to sign with P-384, which common verifiers would hash with SHA-256", async () => {
    await expect(signEnvelope(type, payload, newTestKey("P-384").signer)).toFailWithCode("KEY_PURPOSE")
  })

  it.each([
    {
      what: "r‖s instead of DER",
      answer: async (message: Uint8Array) =>
        sign("sha256", message, { key: key.privateKey, dsaEncoding: "ieee-p1363" }),
    },
    {
      what: "a signature over the digest of the digest",
      answer: async (message: Uint8Array) =>
        sign("sha256", createHash("sha256").update(message).digest(), key.privateKey),
    },
    { what: "nothing", answer: async () => new Uint8Array() },
    {
      what: "another key's signature",
      answer: async (message: Uint8Array) => newTestKey().signer.sign(message),
    },
  ])("refuses a signer that answers with $what", async ({ answer }) => {
    await expect(signEnvelope(type, payload, { ...key.signer, sign: answer })).toFailWithCode(
      "SIGNATURE_INVALID",
    )
  })

  it("passes on why a signer could not sign", async () => {
    const sign = async () => Promise.reject(new Error("token removed"))
    await expect(signEnvelope(type, payload, { ...key.signer, sign })).rejects.toThrow("token removed")
  })
})
