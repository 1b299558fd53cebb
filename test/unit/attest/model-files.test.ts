import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { checkModelFiles } from "../../../main/core/attest/model-files.ts"
import {
  toManifestStatement,
  toModelManifest,
  type ModelHash,
  type ModelManifest,
} from "../../../main/core/attest/model-manifest.ts"
import type { ModelResource } from "../../../main/core/attest/model-resource.ts"
import { readStatement } from "../../../main/core/attest/statement.ts"
import { digestsOf, folderOf, presentFiles, type ModelFolder } from "../../support/model-folder.ts"

const model = folderOf({ "model.onnx": "weights", "data/labels.txt": "cat dog", empty: "" })
const manifest = signedList(model)

describe("the files of a signed model", () => {
  it("are checked one by one", async () => {
    expect(await check(manifest, model)).toEqual({ checked: [...model.keys()], ignored: [] })
  })

  it.each<[string, Readonly<Record<string, string>>]>([
    ["one changed", { "model.onnx": "weightz", "data/labels.txt": "cat dog", empty: "" }],
    ["one longer", { "model.onnx": "weights ", "data/labels.txt": "cat dog", empty: "" }],
    ["an empty one no longer empty", { "model.onnx": "weights", "data/labels.txt": "cat dog", empty: "x" }],
    ["one missing", { "model.onnx": "weights", empty: "" }],
    ["all missing", {}],
    ["one more", { "model.onnx": "weights", "data/labels.txt": "cat dog", empty: "", "x.py": "" }],
    ["one renamed", { "Model.onnx": "weights", "data/labels.txt": "cat dog", empty: "" }],
    ["one moved", { "model.onnx": "weights", "labels.txt": "cat dog", empty: "" }],
    ["two swapped", { "model.onnx": "cat dog", "data/labels.txt": "weights", empty: "" }],
  ])("are refused with %s", async (_, files) => {
    await expect(check(manifest, folderOf(files))).toFailWithCode("SIGNATURE_MISMATCH")
  })

  it("are compared without normalising their names", async () => {
    const composed = signedList(folderOf({ "\u00E9.bin": "x" }))
    await expect(check(composed, folderOf({ "e\u0301.bin": "x" }))).toFailWithCode("SIGNATURE_MISMATCH")
  })

  it("are not hashed when their names already differ", async () => {
    const hash = async () => Promise.reject(new Error("asked"))
    await expect(checkModelFiles(manifest, [{ name: "a", sizeBytes: 1 }], hash)).toFailWithCode(
      "SIGNATURE_MISMATCH",
    )
  })

  it("may have version control at the top, and the signature, beside them", async () => {
    const beside = {
      ".git/config": "",
      ".gitignore": "",
      ".gitattributes": "",
      ".github/a/b": "",
      "model.sig": "",
    }
    const { ignored } = await check(manifest, new Map([...model, ...folderOf(beside)]), "model.sig")
    expect(Object.fromEntries(ignored.map(({ name, rule }) => [name, rule]))).toEqual({
      ".git/config": "default",
      ".gitignore": "default",
      ".gitattributes": "default",
      ".github/a/b": "default",
      "model.sig": "signature",
    })
  })

  it.each(["data/.gitignore", "data/.git/config", ".gitmodules", ".gitx/a", "model.sig", "data/model.sig"])(
    "are refused with %s beside them when no rule covers it",
    async (name) => {
      const signatureFile = name === "model.sig" ? null : "model.sig"
      const folder = new Map([...model, ...folderOf({ [name]: "" })])
      await expect(check(manifest, folder, signatureFile)).toFailWithCode("SIGNATURE_MISMATCH")
    },
  )

  it("may have what the signer left out beside them, and the report names it", async () => {
    const ignorePaths = ["cache", "data/notes.txt"]
    const signed = { ...manifest, serialization: { ...manifest.serialization, ignorePaths } }
    const folder = new Map([...model, ...folderOf({ "cache/a/b.bin": "", "data/notes.txt": "" })])
    expect((await check(signed, folder)).ignored).toEqual([
      { name: "cache/a/b.bin", rule: "signer" },
      { name: "data/notes.txt", rule: "signer" },
    ])
    for (const name of ["cached", "sub/cache", "data/notes.txt.bak", "notes.txt"]) {
      const other = new Map([...model, ...folderOf({ [name]: "" })])
      await expect(check(signed, other)).toFailWithCode("SIGNATURE_MISMATCH")
    }
  })

  it("are checked when they are listed, whatever the rules would ignore", async () => {
    const folder = folderOf({ ".gitignore": "a", "model.sig": "b", "left/out": "c" })
    const list = signedList(folder)
    const signed = { ...list, serialization: { ...list.serialization, ignorePaths: ["left"] } }
    expect((await check(signed, folder, "model.sig")).checked).toHaveLength(3)
    for (const name of folder.keys()) {
      const changed = new Map([...folder, ...folderOf({ [name]: "other" })])
      await expect(check(signed, changed, "model.sig")).toFailWithCode("SIGNATURE_MISMATCH")
      const without = new Map([...folder].filter(([other]) => other !== name))
      await expect(check(signed, without, "model.sig")).toFailWithCode("SIGNATURE_MISMATCH")
    }
  })

  it("may be one file signed without its name", async () => {
    const single = signedList(folderOf({ ".": "weights" }))
    expect((await check(single, folderOf({ "any.onnx": "weights", ".gitignore": "" }))).checked).toEqual([
      "any.onnx",
    ])
    await expect(check(single, folderOf({ "any.onnx": "other" }))).toFailWithCode("SIGNATURE_MISMATCH")
    await expect(check(single, folderOf({ a: "weights", b: "" }))).toFailWithCode("SIGNATURE_MISMATCH")
    await expect(check(single, folderOf({}))).toFailWithCode("SIGNATURE_MISMATCH")
  })

  it("may be hashed with BLAKE2b", async () => {
    const signed = signedList(model, { hash: "blake2b" })
    expect((await check(signed, model)).checked).toHaveLength(3)
    const changed = new Map([...model, ...folderOf({ empty: "x" })])
    await expect(check(signed, changed)).toFailWithCode("SIGNATURE_MISMATCH")
  })

  it("are not judged when they are hashed with BLAKE3", async () => {
    const signed = signedList(model, { hash: "blake3" })
    await expect(check(signed, model)).toFailWithCode("SIGNATURE_UNSUPPORTED")
  })
})

describe("the files of a model signed in shards", () => {
  const shards = signedList(model, { shardSize: 3 })

  it("are checked range by range, in whatever order the ranges were signed", async () => {
    expect(shards.resources.map(({ range }) => range?.end)).toEqual([3, 6, 7, 3, 6, 7])
    expect((await check(shards, model)).checked).toEqual(["model.onnx", "data/labels.txt"])
    const backwards = toModelManifest(
      readStatement(toManifestStatement({ ...shards, resources: shards.resources.toReversed() })),
    )
    expect((await check(backwards, model)).checked).toHaveLength(2)
  })

  it("cannot list files without bytes, so these pass and are named", async () => {
    expect((await check(shards, model)).ignored).toEqual([{ name: "empty", rule: "empty" }])
    const filled = new Map([...model, ...folderOf({ empty: "x" })])
    await expect(check(shards, filled)).toFailWithCode("SIGNATURE_MISMATCH")
  })

  it.each(["weightz", "weigh", "weights!", "WEIghts", ""])("are refused when one became %j", async (text) => {
    const changed = new Map([...model, ...folderOf({ "model.onnx": text })])
    await expect(check(shards, changed)).toFailWithCode("SIGNATURE_MISMATCH")
  })
})

async function check(list: ModelManifest, folder: ModelFolder, signatureFile: string | null = null) {
  return checkModelFiles(list, presentFiles(folder), digestsOf(folder), signatureFile)
}

/** A list as a signer makes it, read back: so that no test checks files against a list that could not be signed. */
function signedList(
  folder: ModelFolder,
  { hash = "sha256", shardSize = null }: { hash?: ModelHash; shardSize?: number | null } = {},
): ModelManifest {
  const digestOf = (bytes: Uint8Array) =>
    hash === "blake3"
      ? "00".repeat(32)
      : createHash(hash === "blake2b" ? "blake2b512" : hash)
          .update(bytes)
          .digest("hex")
  const resources = [...folder].flatMap(([path, bytes]): readonly ModelResource[] => {
    if (shardSize === null) return [{ path, range: null, algorithm: hash, digest: digestOf(bytes) }]
    const count = Math.ceil(bytes.length / shardSize)
    return Array.from({ length: count }, (_, index) => {
      const range = { start: index * shardSize, end: Math.min((index + 1) * shardSize, bytes.length) }
      return { path, range, algorithm: hash, digest: digestOf(bytes.subarray(range.start, range.end)) }
    })
  })
  const common = { hash, allowSymlinks: false, ignorePaths: [] }
  const serialization =
    shardSize === null
      ? { ...common, method: "files" as const }
      : { ...common, method: "shards" as const, shardSize }
  return toModelManifest(readStatement(toManifestStatement({ modelName: "m", serialization, resources })))
}
