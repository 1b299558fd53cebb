import { describe, expect, it } from "vitest"
import {
  attestationType,
  checkPredicateType,
  readStatement,
  toStatementBytes,
  type Statement,
} from "../../../main/core/attest/statement.ts"

const digest = { sha256: "ab".repeat(32) }
const statement: Statement = {
  subjects: [{ name: "package", digest }],
  predicateType: attestationType("validation"),
  predicate: { accuracy: 0.97, cases: [1, 2] },
}
const raw = {
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ name: "package", digest }],
  predicateType: "urn:example:v1",
  predicate: {},
}
const read = (document: unknown) => readStatement(new TextEncoder().encode(JSON.stringify(document)))

describe("a statement", () => {
  it("comes back as it was written", () =>
    expect(readStatement(toStatementBytes(statement))).toEqual(statement))

  it("has a URN as type when it is one of ours", () => {
    expect(attestationType("mark-commitment")).toBe("urn:sealwright:attestation:mark-commitment:v1")
  })

  it("may hold fields we do not know, which are ignored", () => {
    expect(read({ ...raw, later: 1, subject: [{ name: "a", digest, uri: "x" }] }).subjects).toEqual([
      { name: "a", digest },
    ])
  })

  it("may leave out the name of a subject and the predicate", () => {
    const { predicate: _, ...rest } = { ...raw, subject: [{ digest }] }
    expect(read(rest)).toEqual({
      subjects: [{ name: "", digest }],
      predicateType: "urn:example:v1",
      predicate: {},
    })
  })

  it("keeps keys such as __proto__ in a predicate as plain data", () => {
    const text = JSON.stringify(raw).replace('"predicate":{}', '"predicate":{"__proto__":{"a":1}}')
    const { predicate } = readStatement(new TextEncoder().encode(text))
    expect(Object.keys(predicate)).toEqual(["__proto__"])
    expect("a" in predicate).toBe(false)
  })

  it.each([
    ["another type", { ...raw, _type: "https://in-toto.io/Statement/v0.1" }],
    ["no subject", { ...raw, subject: [] }],
    ["a subject without digest", { ...raw, subject: [{ name: "a", digest: {} }] }],
    ["an upper-case digest", { ...raw, subject: [{ name: "a", digest: { sha256: "AB".repeat(32) } }] }],
    ["a short digest", { ...raw, subject: [{ name: "a", digest: { sha256: "ab" } }] }],
    ["half a byte", { ...raw, subject: [{ name: "a", digest: { sha1: "abc" } }] }],
    ["no predicate type", { ...raw, predicateType: "" }],
    ["a list as predicate", { ...raw, predicate: [] }],
    ["text instead of an object", "statement"],
  ])("is refused with %s", async (_, document) => {
    await expect(() => read(document)).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is refused when a key stands twice", async () => {
    const text = JSON.stringify(raw).replace("{", '{"predicateType":"urn:other:v1",')
    await expect(() => readStatement(new TextEncoder().encode(text))).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is not written when it could not be read", async () => {
    const bad = { ...statement, subjects: [{ name: "a", digest: { sha256: "XY" } }] }
    await expect(() => toStatementBytes(bad)).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is not taken for one of another type", async () => {
    await expect(() => checkPredicateType(statement, attestationType("approval"))).toFailWithCode(
      "SIGNATURE_MALFORMED",
    )
    expect(() => checkPredicateType(statement, attestationType("validation"))).not.toThrow()
  })
})
