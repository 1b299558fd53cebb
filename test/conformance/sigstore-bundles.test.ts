/** Sigstore bundles: ours under other people's verifier, other people's under our reader. Logs and timestamps are not judged. */
import { createPublicKey, X509Certificate } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { bundleFromJSON } from "@sigstore/bundle"
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify"
import { describe, expect, it } from "vitest"
import { AppError } from "../../main/contract/errors.ts"
import { readBundle } from "../../main/core/attest/bundle.ts"
import { checkEnvelope } from "../../main/core/attest/dsse.ts"
import { checkSigner, parseTrustedKeys } from "../../main/core/attest/trust.ts"
import { signModel } from "../../main/core/attest/model-signing.ts"
import { parseVerificationKey } from "../../main/core/attest/verification-key.ts"
import { folderOf, hashedFiles } from "../support/model-folder.ts"
import { newTestKey } from "../support/software-signer.ts"
import { vector } from "../support/vectors.ts"

const key = newTestKey()
const files = hashedFiles(folderOf({ "model.onnx": "weights", "labels.txt": "cat dog" }))

describe("our bundle under @sigstore/verify", () => {
  it("verifies with the key of its hint", async () => {
    const bundle = bundleFromJSON(
      JSON.parse(new TextDecoder().decode(await signModel("m", files, key.signer))),
    )
    expect(
      verifierFor(key.pem).verify(toSignedEntity(bundle)).key.export({ type: "spki", format: "pem" }),
    ).toBe(key.pem)
  })

  it("is refused there with another key, and with another payload", async () => {
    const text = new TextDecoder().decode(await signModel("m", files, key.signer))
    const other = newTestKey()
    const answerAnyHint = verifierFor(other.pem, () => true)
    expect(() => answerAnyHint.verify(toSignedEntity(bundleFromJSON(JSON.parse(text))))).toThrow(/signature/)
    const swapped = JSON.parse(text)
    swapped.dsseEnvelope.payload = Buffer.from("{}").toString("base64")
    expect(() => verifierFor(key.pem).verify(toSignedEntity(bundleFromJSON(swapped)))).toThrow(/signature/)
  })
})

/**
 * Of the 70 cases 14 hold a DSSE envelope. Eight of these are v0.3 and are read; whether their signatures, logs and
 * timestamps are right is another matter. Six are v0.2 and refused, as are 55 message signatures and one broken text.
 */
describe("the bundles of sigstore-conformance under our reader", () => {
  const cases = readdirSync(vector("sigstore-bundles", "bundle-verify"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({
      name,
      bytes: readFileSync(vector("sigstore-bundles", "bundle-verify", name, "bundle.sigstore.json")),
    }))
  const outcomes = cases.map(({ name, bytes }) => ({
    name,
    text: bytes.toString(),
    outcome: outcomeOf(bytes),
  }))
  const withEnvelope = outcomes.filter(({ text }) => text.includes('"dsseEnvelope"'))

  it("are all there: 70, 14 of them with an envelope", () => {
    expect([outcomes.length, withEnvelope.length]).toEqual([70, 14])
  })

  it("are read when they are v0.3 with an envelope", () => {
    const read = outcomes.filter(({ outcome }) => typeof outcome !== "string")
    expect(read.map(({ name }) => name)).toEqual([
      "dsse-invalid-sig_fail",
      "dsse-mismatch-envelope_fail",
      "dsse-mismatch-sig_fail",
      "happy-path-intoto-in-dsse-v3",
      "rekor2-dsse-happy-path",
      "rekor2-dsse-invalid-sig_fail",
      "rekor2-dsse-mismatch-envelope_fail",
      "rekor2-dsse-mismatch-sig_fail",
    ])
  })

  it("keep the content that @sigstore/bundle reads, when they are read", () => {
    for (const { text, outcome } of outcomes) {
      if (typeof outcome === "string") continue
      const theirs = bundleFromJSON(JSON.parse(text))
      if (theirs.content.$case !== "dsseEnvelope") throw new Error("not an envelope")
      const { payload, signatures } = theirs.content.dsseEnvelope
      expect(Buffer.from(outcome.envelope.payload).equals(payload)).toBe(true)
      expect(Buffer.from(outcome.envelope.signature).equals(signatures[0]?.sig ?? Buffer.alloc(0))).toBe(true)
      expect(outcome.logEntries).toHaveLength(theirs.verificationMaterial.tlogEntries.length)
      expect(outcome.timestamps).toHaveLength(
        theirs.verificationMaterial.timestampVerificationData?.rfc3161Timestamps.length ?? 0,
      )
    }
  })

  it("hold the signature they show but for the two whose signature is wrong; the others' faults are in the log", () => {
    const verdicts = read().map(({ name, outcome, pem }) => [
      name,
      codeOf(() => checkEnvelope(outcome.envelope, parseVerificationKey(pem))),
    ])
    const wrong = verdicts.filter(([, code]) => code !== "accepted")
    expect(wrong).toEqual([
      ["dsse-invalid-sig_fail", "SIGNATURE_INVALID"],
      ["rekor2-dsse-invalid-sig_fail", "SIGNATURE_INVALID"],
    ])
    expect(verdicts).toHaveLength(8)
  })

  it("are believed in no case: who signs with a certificate and a log cannot be judged without asking somebody", () => {
    for (const { outcome, pem } of read()) {
      // Even where the very key of the bundle is trusted, nobody has said that it may sign alone.
      const trust = parseTrustedKeys([{ label: "leaf", pem }])
      expect(codeOf(() => checkSigner(outcome, trust, new Date("2026-01-01T00:00:00Z")))).toBe(
        "SIGNATURE_UNSUPPORTED",
      )
    }
  })

  /** The bundles our reader takes, each with the key of its certificate. */
  function read() {
    return outcomes.flatMap(({ name, text, outcome }) => {
      if (typeof outcome === "string") return []
      const { verificationMaterial } = JSON.parse(text) as MaterialJson
      const raw = Buffer.from(verificationMaterial.certificate?.rawBytes ?? "", "base64")
      const pem = new X509Certificate(raw).publicKey.export({ type: "spki", format: "pem" }).toString()
      return [{ name, outcome, pem }]
    })
  }

  it("are refused as malformed otherwise, never in another way", () => {
    const refused = outcomes.filter(({ outcome }) => typeof outcome === "string")
    expect(refused).toHaveLength(62)
    expect(new Set(refused.map(({ outcome }) => outcome))).toEqual(new Set(["SIGNATURE_MALFORMED"]))
  })
})

interface MaterialJson {
  readonly verificationMaterial: { readonly certificate?: { readonly rawBytes: string } }
}

function codeOf(action: () => unknown): string {
  try {
    action()
    return "accepted"
  } catch (error) {
    if (error instanceof AppError) return error.code
    throw error
  }
}

function outcomeOf(bytes: Uint8Array) {
  try {
    return readBundle(bytes)
  } catch (error) {
    if (error instanceof AppError) return error.code
    throw error
  }
}

/** Trust in one key and nothing else: no log, no timestamp. */
function verifierFor(
  pem: string,
  answers = (hint: string) => hint === parseVerificationKey(pem).hint,
): Verifier {
  const nothing = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] }
  const trust = toTrustMaterial({ mediaType: "", ...nothing }, (hint) => {
    if (!answers(hint)) throw new Error(`unknown key ${hint}`)
    return { publicKey: createPublicKey(pem), validFor: () => true }
  })
  return new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 })
}
