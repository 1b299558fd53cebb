/** Wycheproof's ECDSA signatures in DER, judged by the one function that decides every signature. */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { isSignatureBy, parseVerificationKey } from "../../main/core/attest/verification-key.ts"
import { vector } from "../support/vectors.ts"

interface Suite {
  readonly testGroups: readonly {
    readonly publicKeyPem: string
    readonly tests: readonly {
      readonly tcId: number
      readonly comment: string
      readonly msg: string
      readonly sig: string
      readonly result: "valid" | "invalid" | "acceptable"
    }[]
  }[]
}

describe.each([
  { file: "ecdsa_secp256r1_sha256_test.json", count: 484 },
  { file: "ecdsa_secp384r1_sha384_test.json", count: 504 },
])("$file", ({ file, count }) => {
  const suite: Suite = JSON.parse(readFileSync(vector("wycheproof", file), "utf8"))

  it(`judges all ${count} signatures as they are labelled`, () => {
    const wrong: string[] = []
    let judged = 0
    for (const { publicKeyPem, tests } of suite.testGroups) {
      const key = parseVerificationKey(publicKeyPem)
      for (const { tcId, comment, msg, sig, result } of tests) {
        judged += 1
        const isGood = isSignatureBy(key, Buffer.from(msg, "hex"), Buffer.from(sig, "hex"))
        if (isGood !== (result === "valid")) wrong.push(`${tcId} ${comment}: ${result}`)
      }
    }
    expect(wrong).toEqual([])
    expect(judged).toBe(count)
  })
})
