/** Grants that are signed together. */
import { describe, expect, test } from "vitest"
import { signStatement } from "../../../main/core/attest/attestation.ts"
import {
  grantBatches,
  grantsSaid,
  grantStatement,
  mayBeAbout,
  rangeOf,
} from "../../../main/core/attest/grant-statement.ts"
import { attestationType, toStatementBytes } from "../../../main/core/attest/statement.ts"
import { parseTrustedKeys } from "../../../main/core/attest/trust.ts"
import { grantManifest, packageManifest, parseManifest, type Blob } from "../../../main/core/oci/manifest.ts"
import type { AttachedBundle, SealContents } from "../../../main/core/oci/seal-file.ts"
import { readSignatures } from "../../../main/services/package-access.ts"
import { newTestKey } from "../../support/software-signer.ts"

const KEY = newTestKey()
const TRUST = parseTrustedKeys([{ label: "press", pem: KEY.signer.publicKeyPem() }])
const NOW = new Date("2027-01-04T08:00:00Z")
const CREATED_AT = NOW.toISOString()
const digestOf = (number: number) => `sha256:${number.toString(16).padStart(64, "0")}`
const layer = (number: number) => ({ digest: digestOf(number), size: 100 })
const PACKAGE = packageManifest(layer(1))
const GRANTS = [2, 3, 4].map((number) => grantManifest(layer(number)))

const partOf = (blob: Blob) => ({
  digest: blob.descriptor.digest,
  manifest: parseManifest(blob.bytes),
  manifestBlob: blob,
  layer: { mediaType: "", ...layer(1) },
  entry: { name: "", offset: 0, size: 100 },
})
const attach = (subject: Blob, name: "copy" | "grant", bytes: Uint8Array): AttachedBundle => ({
  subject: subject.descriptor.digest,
  predicateType: attestationType(name),
  createdAt: CREATED_AT,
  bytes,
})
const digests = (blobs: readonly Blob[]) => blobs.map(({ descriptor }) => descriptor.digest)
const copySigned = async () => {
  const sha256 = PACKAGE.descriptor.digest.slice("sha256:".length)
  const subjects = [{ name: "", digest: { sha256 } }]
  const statement = { subjects, predicateType: attestationType("copy"), predicate: {} }
  return attach(PACKAGE, "copy", await signStatement(toStatementBytes(statement), KEY.signer))
}
const grantsSigned = async (blobs: readonly Blob[], key = KEY) =>
  signStatement(grantStatement(digests(blobs), CREATED_AT), key.signer)

async function judge(bundles: readonly AttachedBundle[], grants: readonly Blob[] = GRANTS) {
  const contents: SealContents = {
    packages: [partOf(PACKAGE)],
    grants: grants.map(partOf),
    bundles: [await copySigned(), ...bundles],
    trust: new Map(),
  }
  return readSignatures(contents, TRUST, NOW)
}

describe("grants signed together", () => {
  test("go in batches of sorted digests, each once", () => {
    const many = Array.from({ length: 300 }, (_, index) => digestOf(299 - index))
    const batches = grantBatches([...many, digestOf(5)])
    expect(batches.map(({ length }) => length)).toEqual([128, 128, 44])
    expect(batches.flat()).toEqual(many.toSorted())
  })

  test("are found by the range their statement is about, and a statement without one is looked at", () => {
    const range = rangeOf([digestOf(9), digestOf(5), digestOf(7)])
    expect([4, 5, 6, 9, 10].map((number) => mayBeAbout(range, digestOf(number)))).toEqual([
      false,
      true,
      true,
      true,
      false,
    ])
    expect(mayBeAbout({}, digestOf(1))).toBe(true)
    expect(mayBeAbout({ "vnd.sealwright.grants": "nonsense" }, digestOf(1))).toBe(true)
  })

  test("count when one statement at their package names them all", async () => {
    const together = await grantsSigned(GRANTS)
    expect(grantsSaid(together)).toEqual(new Set(digests(GRANTS)))
    expect((await judge([attach(PACKAGE, "grant", together)])).size).toBe(4)
  })

  test("count when each has a statement of its own", async () => {
    const own = GRANTS.map(async (grant) => attach(grant, "grant", await grantsSigned([grant])))
    expect((await judge(await Promise.all(own))).size).toBe(4)
  })

  test("do not count when the statement leaves one out, wherever it is attached", async () => {
    const [first, ...others] = GRANTS
    const some = await grantsSigned(others)
    await expect(judge([attach(PACKAGE, "grant", some)])).toFailWithCode("SIGNATURE_MISSING")
    await expect(
      judge([attach(PACKAGE, "grant", some), attach(first ?? PACKAGE, "grant", some)]),
    ).toFailWithCode("SIGNATURE_INVALID")
  })

  test("do not count by a stranger's statement, a changed one, or one that cannot be read", async () => {
    const stranger = await grantsSigned(GRANTS, newTestKey())
    await expect(judge([attach(PACKAGE, "grant", stranger)])).toFailWithCode("SIGNER_UNTRUSTED")
    const text = Buffer.from(await grantsSigned(GRANTS.slice(1))).toString()
    const payload = /"payload":"([^"]*)"/.exec(text)?.[1] ?? ""
    const more = Buffer.from(grantStatement(digests(GRANTS), CREATED_AT)).toString("base64")
    const changed = Buffer.from(text.replace(payload, more))
    await expect(judge([attach(PACKAGE, "grant", changed)])).toFailWithCode("SIGNATURE_INVALID")
    const broken = Buffer.from(text.slice(0, -1))
    await expect(judge([attach(PACKAGE, "grant", broken)])).toFailWithCode("SIGNATURE_MALFORMED")
  })

  test("do not count by a statement of another kind that names them", async () => {
    const subjects = digests(GRANTS).map((digest) => ({ name: "", digest: { sha256: digest.slice(7) } }))
    const other = { subjects, predicateType: attestationType("approval"), predicate: {} }
    const bytes = await signStatement(toStatementBytes(other), KEY.signer)
    await expect(judge([attach(PACKAGE, "grant", bytes)])).toFailWithCode("SIGNATURE_INVALID")
  })
})
