import { describe, expect, it } from "vitest"
import { BUNDLE_MEDIA_TYPE, readBundle, toBundleBytes } from "../../../main/core/attest/bundle.ts"
import type { DsseEnvelope } from "../../../main/core/attest/dsse.ts"

const envelope: DsseEnvelope = {
  payloadType: "application/vnd.in-toto+json",
  payload: new Uint8Array([0xfb, 0xff, 0xfe]),
  signature: new Uint8Array([1, 2, 3]),
}
const AA = "AAAA"
const logEntry = {
  logIndex: "7",
  logId: { keyId: AA },
  kindVersion: { kind: "dsse", version: "0.0.1" },
  inclusionProof: { treeSize: "9", rootHash: AA, hashes: [AA], checkpoint: { envelope: "log\n" } },
  canonicalizedBody: AA,
}
const key = { publicKey: { hint: "abc" } }
const chain = { x509CertificateChain: { certificates: [{ rawBytes: "AQ==" }, { rawBytes: "Ag==" }] } }
const sigstore = { certificate: { rawBytes: "AQ==" }, tlogEntries: [logEntry] }

/** A bundle as another writer might make it. */
function bundleWith(material: object, changes: object = {}, signature: object = {}): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({
      mediaType: BUNDLE_MEDIA_TYPE,
      verificationMaterial: material,
      dsseEnvelope: { payload: "e30=", payloadType: "t", signatures: [{ sig: AA, ...signature }] },
      ...changes,
    }),
  )
}

function repeat<T>(count: number, item: T): readonly T[] {
  return Array.from({ length: count }, () => item)
}

describe("a bundle", () => {
  it("comes back as it was written", () => {
    expect(readBundle(toBundleBytes(envelope, "abc"))).toEqual({
      signer: { kind: "key", hint: "abc" },
      envelope,
      logEntries: [],
      timestamps: [],
    })
  })

  it("tells the three ways to name a signer apart", () => {
    expect(readBundle(bundleWith(key)).signer).toEqual({ kind: "key", hint: "abc" })
    expect(readBundle(bundleWith(chain)).signer).toEqual({
      kind: "certificate",
      chain: [new Uint8Array([1]), new Uint8Array([2])],
    })
    expect(readBundle(bundleWith(sigstore)).signer).toEqual({
      kind: "sigstore",
      certificate: new Uint8Array([1]),
    })
  })

  it("carries log entries and timestamps along", () => {
    const timestampVerificationData = { rfc3161Timestamps: [{ signedTimestamp: "AwM=" }] }
    const { logEntries, timestamps } = readBundle(bundleWith({ ...sigstore, timestampVerificationData }))
    expect(logEntries[0]).toMatchObject({ logIndex: "7", integratedTime: "0", kindVersion: { kind: "dsse" } })
    expect(timestamps).toEqual([new Uint8Array([3, 3])])
  })

  it.each([{}, { keyid: "" }, { keyid: null }, { keyid: "anything" }])("takes any keyid: %o", (signature) => {
    expect(readBundle(bundleWith(key, {}, signature)).envelope.signature).toEqual(new Uint8Array(3))
  })

  it("takes both spellings of version 0.3", () => {
    const mediaType = "application/vnd.dev.sigstore.bundle+json;version=0.3"
    expect(readBundle(bundleWith(key, { mediaType })).signer.kind).toBe("key")
  })

  it("takes the URL-safe alphabet of base64, as DSSE asks", () => {
    const text = new TextDecoder().decode(toBundleBytes(envelope, "abc"))
    expect(text).toContain('"payload":"+//+"')
    const urlSafe = readBundle(new TextEncoder().encode(text.replace("+//+", "-__-")))
    expect(urlSafe.envelope.payload).toEqual(envelope.payload)
  })

  it.each([
    [
      "another media type",
      bundleWith(key, { mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.2" }),
    ],
    ["a media type that only starts right", bundleWith(key, { mediaType: `${BUNDLE_MEDIA_TYPE}x` })],
    ["a field it should not have", bundleWith(key, { messageSignature: {} })],
    ["no signer", bundleWith({})],
    ["two signers", bundleWith({ ...key, ...chain })],
    ["a public key without hint and bytes", bundleWith({ publicKey: {} })],
    ["a public key with hint and bytes", bundleWith({ publicKey: { hint: "abc", rawBytes: AA } })],
    ["an empty chain", bundleWith({ x509CertificateChain: { certificates: [] } })],
    [
      "nine certificates",
      bundleWith({ x509CertificateChain: { certificates: repeat(9, { rawBytes: AA }) } }),
    ],
    ["a sigstore certificate without log entry", bundleWith({ certificate: { rawBytes: AA } })],
    ["an empty log", bundleWith({ ...sigstore, tlogEntries: [] })],
    ["33 log entries", bundleWith({ ...sigstore, tlogEntries: repeat(33, logEntry) })],
    ["a negative log index", bundleWith({ ...sigstore, tlogEntries: [{ ...logEntry, logIndex: "-1" }] })],
    [
      "an entry without proof",
      bundleWith({ ...sigstore, tlogEntries: [{ ...logEntry, inclusionProof: undefined }] }),
    ],
    ["no envelope", bundleWith(key, { dsseEnvelope: undefined })],
    ["no signature", bundleWith(key, { dsseEnvelope: { payload: AA, payloadType: "t", signatures: [] } })],
    [
      "two signatures",
      bundleWith(key, {
        dsseEnvelope: { payload: AA, payloadType: "t", signatures: [{ sig: AA }, { sig: AA }] },
      }),
    ],
    ["an empty signature", bundleWith(key, {}, { sig: "" })],
    ["base64 without padding", bundleWith(key, {}, { sig: "AA" })],
    ["base64 with bits that mean nothing", bundleWith(key, {}, { sig: "AB==" })],
    ["base64 in two alphabets", bundleWith(key, {}, { sig: "+__+" })],
    ["base64 with a line break", bundleWith(key, {}, { sig: "AA\nAA" })],
    ["a number as keyid", bundleWith(key, {}, { keyid: 7 })],
    ["an unknown field beside the signature", bundleWith(key, {}, { cert: AA })],
  ])("is refused with %s", async (_, bytes) => {
    await expect(() => readBundle(bytes)).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is refused when a key stands twice", async () => {
    const text = new TextDecoder().decode(bundleWith(key)).replace('"sig":', '"sig":"AAAA","sig":')
    await expect(() => readBundle(new TextEncoder().encode(text))).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is not written when it would be refused for its size", async () => {
    const payload = new Uint8Array(24 * 1024 * 1024)
    await expect(() => toBundleBytes({ ...envelope, payload }, "abc")).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is refused above 32 MiB before it is looked at", async () => {
    const limit = 32 * 1024 * 1024
    const padded = Buffer.concat([bundleWith(key), Buffer.alloc(limit, " ")])
    expect(() => readBundle(padded.subarray(0, limit))).not.toThrow()
    await expect(() => readBundle(padded.subarray(0, limit + 1))).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is refused without repeating what it holds", async () => {
    const secretive = bundleWith(key, { mediaType: "text/secret" })
    await expect(() => readBundle(secretive)).toFailWithCode("SIGNATURE_MALFORMED")
    expect(() => readBundle(secretive)).toThrow(/^the bundle is not valid at mediaType: (?!.*secret)/)
  })
})
