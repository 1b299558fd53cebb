import { describe, expect, it } from "vitest"
import { AppError } from "../../../main/contract/errors.ts"
import { readAttestation, signStatement } from "../../../main/core/attest/attestation.ts"
import { toBundleBytes } from "../../../main/core/attest/bundle.ts"
import { signEnvelope } from "../../../main/core/attest/dsse.ts"
import { attestationType, toStatementBytes, type Statement } from "../../../main/core/attest/statement.ts"
import { parseTrustedKeys } from "../../../main/core/attest/trust.ts"
import { parseVerificationKey } from "../../../main/core/attest/verification-key.ts"
import { newTestKey } from "../../support/software-signer.ts"

const key = newTestKey()
const trust = parseTrustedKeys([{ label: "me", pem: key.pem }])
const at = new Date("2026-01-01T00:00:00Z")
const statement: Statement = {
  subjects: [{ name: "a", digest: { sha256: "00".repeat(32) } }],
  predicateType: attestationType("copy"),
  predicate: { text: "???>>>" },
}
const bundle = await signStatement(toStatementBytes(statement), key.signer)

describe("an attestation", () => {
  it("comes back with its statement and its signer", () => {
    const read = readAttestation(bundle, trust, at)
    expect(read.statement).toEqual(statement)
    expect(read.signedBy).toEqual({ kind: "key", label: "me", hint: parseVerificationKey(key.pem).hint })
  })

  it("is refused when its payload type was changed after signing", async () => {
    const text = new TextDecoder()
      .decode(bundle)
      .replace("application/vnd.in-toto+json", "application/vnd.in-toto+jsom")
    await expect(() => readAttestation(new TextEncoder().encode(text), trust, at)).toFailWithCode(
      "SIGNATURE_INVALID",
    )
  })

  it("is refused when it was signed under another payload type", async () => {
    const envelope = await signEnvelope("text/plain", toStatementBytes(statement), key.signer)
    const bytes = toBundleBytes(envelope, parseVerificationKey(key.pem).hint)
    await expect(() => readAttestation(bytes, trust, at)).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is refused when what was signed is no strict JSON", async () => {
    const twice = new TextDecoder().decode(toStatementBytes(statement)).replace("{", '{"subject": [],')
    const bytes = await signStatement(new TextEncoder().encode(twice), key.signer)
    await expect(() => readAttestation(bytes, trust, at)).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is refused before the statement is looked at when the signature is bad", async () => {
    const nonsense = await signStatement(new TextEncoder().encode("nonsense"), newTestKey().signer)
    await expect(() => readAttestation(nonsense, trust, at)).toFailWithCode("SIGNER_UNTRUSTED")
  })
})

/**
 * Every byte of a bundle is judged, with two exceptions that change nothing: what stands in `keyid`, and the alphabet of
 * a base64 text that has a single character of those on which the two alphabets differ (same bytes, another spelling).
 */
describe("a changed byte in a bundle", () => {
  const replacements = new TextEncoder().encode(" \"'\\,:{}[]+-/_=09aAzZ")

  it("is refused, or spells the same bytes in the URL-safe alphabet", () => {
    const neutral: string[] = []
    let tried = 0
    for (const [place, byte] of bundle.entries()) {
      const flips = Array.from({ length: 8 }, (_, bit) => byte ^ (1 << bit))
      for (const changed of new Set([...flips, ...replacements])) {
        if (changed === byte) continue
        tried += 1
        if (!isAccepted(bundle.with(place, changed))) continue
        neutral.push(`${String.fromCharCode(byte)}→${String.fromCharCode(changed)}`)
      }
    }
    expect(tried).toBeGreaterThan(20 * bundle.length)
    expect(neutral.filter((change) => !["+→-", "/→_"].includes(change))).toEqual([])
  })

  it("is refused when it is one too few", () => {
    for (const place of bundle.keys()) {
      const [before, after] = [bundle.subarray(0, place), bundle.subarray(place + 1)]
      expect(isAccepted(Buffer.concat([before, after]))).toBe(false)
      expect(isAccepted(before)).toBe(false)
    }
  })

  it("is refused when it is one too many, except in the empty keyid", () => {
    const neutral = [...bundle.keys()].filter((place) =>
      isAccepted(Buffer.concat([bundle.subarray(0, place), Buffer.from("A"), bundle.subarray(place)])),
    )
    expect(neutral).toEqual([Buffer.from(bundle).indexOf('"keyid":""') + '"keyid":"'.length])
  })

  function isAccepted(bytes: Uint8Array): boolean {
    try {
      readAttestation(bytes, trust, at)
      return true
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      return false
    }
  }
})
