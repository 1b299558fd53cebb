import { describe, expect, it } from "vitest"
import { signStatement } from "../../../main/core/attest/attestation.ts"
import { checkModelFiles } from "../../../main/core/attest/model-files.ts"
import { MODEL_SIGNATURE_TYPE } from "../../../main/core/attest/model-manifest.ts"
import { readModelSignature, signModel, toModelStatement } from "../../../main/core/attest/model-signing.ts"
import { attestationType, toStatementBytes } from "../../../main/core/attest/statement.ts"
import { parseTrustedKeys } from "../../../main/core/attest/trust.ts"
import { digestsOf, folderOf, hashedFiles, presentFiles } from "../../support/model-folder.ts"
import { newTestKey } from "../../support/software-signer.ts"

const model = folderOf({ "z.bin": "z", "a/b": "ab", "a-b": "a-b" })
const key = newTestKey()
const trust = parseTrustedKeys([{ label: "packager", pem: key.pem }])
const at = new Date("2026-01-01T00:00:00Z")

describe("a signed model", () => {
  it("verifies, file by file", async () => {
    const bundle = await signModel("my-model", hashedFiles(model), key.signer)
    const { signedBy, manifest } = readModelSignature(bundle, trust, at)
    expect(signedBy).toMatchObject({ kind: "key", label: "packager" })
    expect(manifest.modelName).toBe("my-model")
    const { checked } = await checkModelFiles(manifest, presentFiles(model), digestsOf(model))
    expect(checked).toHaveLength(3)
  })

  it("states whole files, SHA-256, no symbolic links, nothing ignored, sorted by code point", () => {
    const statement = JSON.parse(new TextDecoder().decode(toModelStatement("my-model", hashedFiles(model))))
    expect(statement.predicateType).toBe(MODEL_SIGNATURE_TYPE)
    expect(statement.predicate.serialization).toEqual({
      method: "files",
      hash_type: "sha256",
      allow_symlinks: false,
    })
    expect(statement.predicate.resources.map(({ name }: { name: string }) => name)).toEqual([
      "a-b",
      "a/b",
      "z.bin",
    ])
  })

  it("has the same statement in whatever order its files are given", () => {
    const files = hashedFiles(model)
    expect(toModelStatement("m", files.toReversed())).toEqual(toModelStatement("m", files))
  })

  it("is not signed without files", async () => {
    await expect(signModel("m", [], key.signer)).toFailWithCode("FILE_NOT_FOUND")
  })

  it.each(["../a", "/a", "a\\b", "a//b", ".", "", "a\uD800"])(
    "is not signed with a file named %j",
    async (name) => {
      await expect(signModel("m", [{ name, sha256: "00".repeat(32) }], key.signer)).toFailWithCode(
        "FILE_NAME_UNSAFE",
      )
    },
  )

  it("is not signed with two files of one name", async () => {
    const [file] = hashedFiles(model)
    if (file === undefined) throw new Error("no file")
    await expect(signModel("m", [file, file], key.signer)).toFailWithCode("FILE_NAME_UNSAFE")
  })

  it("is not signed with something else than a SHA-256", async () => {
    await expect(signModel("m", [{ name: "a", sha256: "AB".repeat(32) }], key.signer)).toFailWithCode(
      "SIGNATURE_MALFORMED",
    )
    await expect(signModel("m", [{ name: "a", sha256: "ab" }], key.signer)).toFailWithCode(
      "SIGNATURE_MALFORMED",
    )
  })

  it("is refused when another statement of the same signer is put in its place", async () => {
    const other = toStatementBytes({
      subjects: [{ name: "m", digest: { sha256: "00".repeat(32) } }],
      predicateType: attestationType("approval"),
      predicate: {},
    })
    const bundle = await signStatement(other, key.signer)
    await expect(() => readModelSignature(bundle, trust, at)).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is refused when the signer is not trusted, before its list is read", async () => {
    const bundle = await signModel("m", hashedFiles(model), newTestKey().signer)
    await expect(() => readModelSignature(bundle, trust, at)).toFailWithCode("SIGNER_UNTRUSTED")
  })
})
