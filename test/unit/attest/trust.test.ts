import { createPublicKey, generateKeyPairSync } from "node:crypto"
import { describe, expect, it } from "vitest"
import { readBundle, toBundleBytes } from "../../../main/core/attest/bundle.ts"
import { preAuthEncoding, signEnvelope, type DsseEnvelope } from "../../../main/core/attest/dsse.ts"
import { checkSigner, parseTrustedKeys } from "../../../main/core/attest/trust.ts"
import { parseVerificationKey } from "../../../main/core/attest/verification-key.ts"
import { CA, issue, onDay, SIGNER, type Issued } from "../../support/certificates.ts"
import { ecdsaOver, newTestKey, type TestKey } from "../../support/software-signer.ts"

const payload = new TextEncoder().encode("{}")
const [alice, bob] = [newTestKey(), newTestKey()]
const root = issue({ name: "root", extensions: CA })
const leaf = issue({ name: "release manager", issuer: root, extensions: SIGNER })
const trust = parseTrustedKeys([
  { label: "alice", pem: alice.pem },
  { label: "ca", pem: root.pem },
])

describe("trusted keys", () => {
  it("come from texts with several blocks and words around them", () => {
    const pem = `Public keys of the release team\n${alice.pem}\n# and the root\n${root.pem}${bob.pem}`
    const read = parseTrustedKeys([{ label: "team", pem }])
    expect([...read.keys.keys()]).toEqual([alice, bob].map((key) => parseVerificationKey(key.pem).hint))
    expect(read.certificates.map(({ label }) => label)).toEqual(["team"])
  })

  it("keep the first label of a key that is given twice", () => {
    const read = parseTrustedKeys([
      { label: "first", pem: alice.pem },
      { label: "second", pem: alice.pem },
    ])
    expect([...read.keys.values()].map(({ label }) => label)).toEqual(["first"])
  })

  it.each([
    ["no block", "nothing here"],
    ["a private key", alice.privateKey.export({ type: "pkcs8", format: "pem" }).toString()],
    [
      "a private key beside a public one",
      alice.pem + alice.privateKey.export({ type: "sec1", format: "pem" }).toString(),
    ],
    ["a block that does not end", alice.pem + root.pem.slice(0, -10)],
    ["a damaged certificate", root.pem.replace(/\n.{64}\n/, "\n")],
    ["a certificate that is none", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
  ])("are refused with %s", async (_, pem) => {
    await expect(() => parseTrustedKeys([{ label: "x", pem }])).toFailWithCode("KEY_UNREADABLE")
  })

  it("are refused when they are not for signatures", async () => {
    const pem = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString()
    await expect(() => parseTrustedKeys([{ label: "x", pem }])).toFailWithCode("KEY_PURPOSE")
  })
})

describe("the signer of a bundle", () => {
  it("is told by label and hint", async () => {
    const { hint } = parseVerificationKey(alice.pem)
    expect(checkSigner(await bundleBy(alice), trust, onDay(1))).toEqual({ kind: "key", label: "alice", hint })
  })

  it("is told by the pinned certificate it leads to", () => {
    expect(checkSigner(chainBundle(leaf), trust, onDay(1))).toMatchObject({
      kind: "certificate",
      label: "ca",
      subject: "CN=release manager",
    })
  })

  it("may be pinned by the certificate itself", () => {
    const pinned = parseTrustedKeys([{ label: "just her", pem: leaf.pem }])
    expect(checkSigner(chainBundle(leaf), pinned, onDay(1))).toMatchObject({ label: "just her" })
  })

  it("is refused when nobody trusts the key", async () => {
    const bundle = await bundleBy(bob)
    await expect(() => checkSigner(bundle, trust, onDay(1))).toFailWithCode("SIGNER_UNTRUSTED")
  })

  it("is refused when it claims the hint of a trusted key", async () => {
    const { envelope } = await bundleBy(bob)
    const claim = { signer: { kind: "key", hint: parseVerificationKey(alice.pem).hint } } as const
    const forged = { ...claim, envelope, logEntries: [], timestamps: [] }
    await expect(() => checkSigner(forged, trust, onDay(1))).toFailWithCode("SIGNATURE_INVALID")
  })

  it("is refused when it claims that hint with a key on another curve", async () => {
    const mallory = newTestKey("P-384")
    const signature = ecdsaOver(preAuthEncoding("t", payload), {
      privateKey: mallory.privateKey,
      curve: "P-384",
    })
    const forged = readBundle(
      toBundleBytes({ payloadType: "t", payload, signature }, parseVerificationKey(alice.pem).hint),
    )
    await expect(() => checkSigner(forged, trust, onDay(1))).toFailWithCode("SIGNATURE_INVALID")
  })

  it("is refused when the embedded public key of an older bundle is not trusted, though it fits", async () => {
    const rawBytes = (key: TestKey) => Buffer.from(key.pem).toString("base64")
    const withRawBytes = async (key: TestKey) => {
      const text = new TextDecoder().decode(await bytesBy(key))
      return readBundle(
        new TextEncoder().encode(text.replace(/"hint":"[^"]*"/, `"rawBytes":"${rawBytes(key)}"`)),
      )
    }
    expect(checkSigner(await withRawBytes(alice), trust, onDay(1))).toMatchObject({ label: "alice" })
    const own = await withRawBytes(bob)
    await expect(() => checkSigner(own, trust, onDay(1))).toFailWithCode("SIGNER_UNTRUSTED")
  })

  it("is refused as certificate holder when only its bare key is trusted", async () => {
    const pem = publicPemOf(leaf)
    await expect(() =>
      checkSigner(chainBundle(leaf), parseTrustedKeys([{ label: "key", pem }]), onDay(1)),
    ).toFailWithCode("SIGNER_UNTRUSTED")
  })

  it("is refused when the certificate is trusted but another key signed", async () => {
    const forged = { ...chainBundle(leaf), envelope: (await bundleBy(bob)).envelope }
    await expect(() => checkSigner(forged, trust, onDay(1))).toFailWithCode("SIGNATURE_INVALID")
  })

  it("is refused when the certificate cannot be read", async () => {
    for (const der of [
      leaf.der.subarray(0, -1),
      Buffer.concat([leaf.der, Buffer.of(0)]),
      Buffer.from(leaf.pem),
    ]) {
      const bundle = { ...chainBundle(leaf), signer: { kind: "certificate", chain: [der] } } as const
      await expect(() => checkSigner(bundle, trust, onDay(1))).toFailWithCode("SIGNATURE_MALFORMED")
    }
  })

  it("is not judged when its key is RSA", async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
    const rsa = issue({ name: "rsa", issuer: root, extensions: SIGNER, privateKey })
    const bundle = { ...chainBundle(leaf), signer: { kind: "certificate", chain: [rsa.der] } } as const
    await expect(() => checkSigner(bundle, trust, onDay(1))).toFailWithCode("SIGNATURE_UNSUPPORTED")
  })
})

async function bytesBy(key: TestKey): Promise<Uint8Array> {
  return toBundleBytes(await signEnvelope("t", payload, key.signer), parseVerificationKey(key.pem).hint)
}

async function bundleBy(key: TestKey) {
  return readBundle(await bytesBy(key))
}

function chainBundle(signer: Issued) {
  const signature = ecdsaOver(preAuthEncoding("t", payload), {
    privateKey: signer.privateKey,
    curve: "P-256",
  })
  const envelope: DsseEnvelope = { payloadType: "t", payload, signature }
  return {
    signer: { kind: "certificate", chain: [signer.der] },
    envelope,
    logEntries: [],
    timestamps: [],
  } as const
}

function publicPemOf(signer: Issued): string {
  return createPublicKey(signer.privateKey).export({ type: "spki", format: "pem" }).toString()
}
