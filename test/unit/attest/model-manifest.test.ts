import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  toManifestStatement,
  toModelManifest,
  type ModelManifest,
} from "../../../main/core/attest/model-manifest.ts"
import {
  isModelFileName,
  parseShardName,
  sortByName,
  toResourceName,
  toRootDigest,
  type ModelResource,
} from "../../../main/core/attest/model-resource.ts"
import { readStatement, type JsonObject, type Statement } from "../../../main/core/attest/statement.ts"

const digest = "0f".repeat(32)
const file = (path: string): ModelResource => ({ path, range: null, algorithm: "sha256", digest })
const shard = (path: string, start: number, end: number): ModelResource => ({
  ...file(path),
  range: { start, end },
})
const common = { hash: "sha256", allowSymlinks: false, ignorePaths: [] } as const
const manifestOf = (resources: readonly ModelResource[]): ModelManifest => ({
  modelName: "m",
  serialization: { ...common, method: "files" },
  resources,
})
const sharded = (resources: readonly ModelResource[], shardSize = 8): ModelManifest => ({
  ...manifestOf(resources),
  serialization: { ...common, method: "shards", shardSize },
})
const written = (manifest: ModelManifest) => readStatement(toManifestStatement(manifest))
const reread = (manifest: ModelManifest) => toModelManifest(written(manifest))

/** A statement as another signer might write it: ours with parts of its predicate replaced. */
function statementWith(serialization: JsonObject, resource: JsonObject = {}): Statement {
  const predicate: JsonObject = {
    serialization: { method: "files", hash_type: "sha256", allow_symlinks: false, ...serialization },
    resources: [{ name: "a", digest, algorithm: "sha256", ...resource }],
  }
  return { ...written(manifestOf([file("a")])), predicate }
}

describe("a model manifest", () => {
  it("comes back as it was written, with files or with shards", () => {
    const files = { ...manifestOf([file("a"), file("b/c")]), modelName: "ünï" }
    expect(reread(files)).toEqual(files)
    const shards = sharded([shard("a", 0, 8), shard("a", 8, 9), shard("b:1:2", 0, 3)])
    expect(reread(shards)).toEqual(shards)
  })

  it("keeps the order that was signed, sorted or not", () => {
    const unsorted = manifestOf([file("b"), file("a")])
    expect(reread(unsorted).resources.map(({ path }) => path)).toEqual(["b", "a"])
    const asStrings = sharded([shard("a", 0, 8), shard("a", 16, 20), shard("a", 8, 16)])
    expect(reread(asStrings)).toEqual(asStrings)
  })

  it("takes ignore_paths as a set, and refuses globs and paths that leave the folder", async () => {
    const signed = statementWith({ ignore_paths: ["b", "a/c", "b"] })
    expect(toModelManifest(signed).serialization.ignorePaths).toEqual(["b", "a/c"])
    for (const path of ["*.bin", "a?", "[ab]", "/etc", "../a", "a/../b", ".", "", "a\\b"]) {
      await expect(() => toModelManifest(statementWith({ ignore_paths: [path] }))).toFailWithCode(
        "SIGNATURE_MALFORMED",
      )
    }
  })

  it("takes the reference's names for sharded digests and its float for the size", () => {
    const algorithm = "sha256-sharded-8"
    const signed = statementWith({ method: "shards", shard_size: 8 }, { name: "a:0:5", algorithm })
    expect(toModelManifest(signed).resources).toEqual([{ ...shard("a", 0, 5), algorithm }])
  })

  it("takes the name . for a file alone, not among others", async () => {
    expect(reread(manifestOf([file(".")])).resources).toHaveLength(1)
    await expect(() => reread(manifestOf([file("."), file("a")]))).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("ignores what it does not know about a resource", () => {
    expect(toModelManifest(statementWith({}, { mediaType: "x" })).resources).toEqual([file("a")])
  })

  it.each<[string, Statement]>([
    ["lists nothing", { ...statementWith({}), predicate: { ...statementWith({}).predicate, resources: [] } }],
    ["has no serialization", { ...statementWith({}), predicate: { resources: [] } }],
    ["has parameters we do not know", statementWith({ chunking: "fast" })],
    [
      "has a predicate field we do not know",
      { ...statementWith({}), predicate: { ...statementWith({}).predicate, a: 1 } },
    ],
    ["is of another method", statementWith({ method: "trees" })],
    ["hashes by MD5", statementWith({ hash_type: "md5" }, { algorithm: "md5" })],
    [
      "hashes a file by another algorithm than it says",
      statementWith({}, { algorithm: "blake2b", digest: "0f".repeat(64) }),
    ],
    ["claims shards in a list of files", statementWith({}, { algorithm: "sha256-sharded-8" })],
    [
      "claims shards of another size",
      statementWith({ method: "shards", shard_size: 8 }, { name: "a:0:5", algorithm: "sha256-sharded-16" }),
    ],
    ["has a digest of the wrong length", statementWith({}, { digest: "0f" })],
    ["has an upper-case digest", statementWith({}, { digest: digest.toUpperCase() })],
    ["has shards without a size", statementWith({ method: "shards" }, { name: "a:0:5" })],
    ["has files with a shard size", statementWith({ shard_size: 8 })],
    ["has shards of half bytes", statementWith({ method: "shards", shard_size: 8.5 }, { name: "a:0:5" })],
    ["has shards of no bytes", statementWith({ method: "shards", shard_size: 0 }, { name: "a:0:5" })],
    [
      "has two subjects",
      { ...statementWith({}), subjects: [...statementWith({}).subjects, ...statementWith({}).subjects] },
    ],
    [
      "has a root over other digests",
      { ...statementWith({}), subjects: [{ name: "m", digest: { sha256: digest } }] },
    ],
    [
      "has a root by another algorithm",
      { ...statementWith({}), subjects: [{ name: "m", digest: { sha512: "00".repeat(64) } }] },
    ],
    [
      "is of another predicate type",
      { ...statementWith({}), predicateType: "https://model_signing/Digests/v0.1" },
    ],
  ])("is refused when it %s", async (_, statement) => {
    expect(() => toModelManifest(statementWith({}))).not.toThrow()
    await expect(() => toModelManifest(statement)).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is refused when two digests were swapped but the root was not", async () => {
    const [one, two] = [
      { ...file("a"), digest: "00".repeat(32) },
      { ...file("b"), digest: "11".repeat(32) },
    ]
    const good = written(manifestOf([one, two]))
    const swapped = written(
      manifestOf([
        { ...one, digest: two.digest },
        { ...two, digest: one.digest },
      ]),
    )
    await expect(() => toModelManifest({ ...swapped, subjects: good.subjects })).toFailWithCode(
      "SIGNATURE_MALFORMED",
    )
  })

  it.each([
    ["/etc/passwd"],
    ["../a"],
    ["a/../b"],
    ["a/.."],
    ["./a"],
    ["a/./b"],
    ["a//b"],
    ["a/"],
    ["a\\b"],
    ["C:\\a"],
    ["a\0b"],
    [".."],
  ])("is refused with the name %j", async (name) => {
    await expect(() => reread(manifestOf([file(name)]))).toFailWithCode("SIGNATURE_MALFORMED")
    await expect(() => reread(sharded([shard(name, 0, 5)]))).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is refused when a file stands twice", async () => {
    await expect(() => reread(manifestOf([file("a"), file("b"), file("a")]))).toFailWithCode(
      "SIGNATURE_MALFORMED",
    )
  })

  it.each<[string, readonly ModelResource[]]>([
    ["do not start at 0", [shard("a", 8, 16)]],
    ["leave a gap", [shard("a", 0, 8), shard("a", 16, 20)]],
    ["overlap", [shard("a", 0, 8), shard("a", 4, 12)]],
    ["stand twice", [shard("a", 0, 8), shard("a", 0, 8)]],
    ["are short in the middle", [shard("a", 0, 7), shard("a", 8, 10)]],
    ["are longer than the size", [shard("a", 0, 9)]],
    ["stand twice where another is missing", [shard("a", 0, 8), shard("a", 0, 8), shard("a", 16, 20)]],
    ["cover nothing", [shard("a", 8, 8)]],
    ["are empty", [shard("a", 0, 8), shard("a", 8, 8)]],
    ["run backwards", [shard("a", 0, 8), shard("a", 8, 3)]],
  ])("is refused when its shards %s", async (_, resources) => {
    await expect(() => reread(sharded(resources))).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("is refused when the name of a shard has no range", async () => {
    for (const name of ["a", "a:0", "a:0:", "a:00:8", "a:0:08", "a:-1:8", "a:0:1e3", ":0:8", "a:0: 8"]) {
      const statement = statementWith({ method: "shards", shard_size: 8 }, { name })
      await expect(() => toModelManifest(statement)).toFailWithCode("SIGNATURE_MALFORMED")
    }
  })
})

describe("resource names", () => {
  it("sort by code point, not by UTF-16 unit", () => {
    const names = ["\u{1F600}", "\uFFFD", "a/b", "a-b", "Z", "é"]
    expect(sortByName(names.map((name) => ({ name }))).map(({ name }) => name)).toEqual([
      "Z",
      "a-b",
      "a/b",
      "é",
      "\uFFFD",
      "\u{1F600}",
    ])
    expect(names.toSorted().at(-1)).toBe("\uFFFD")
  })

  it("of shards survive colons and numbers in the path", () => {
    const parts = fc.record({
      path: fc.string({ minLength: 1, unit: "grapheme" }).map((text) => `${text}:1:2`),
      start: fc.nat(),
      end: fc.nat().map((n) => n + 1),
    })
    fc.assert(
      fc.property(parts, ({ path, start, end }) => {
        expect(parseShardName(toResourceName(shard(path, start, end)))).toEqual({ path, start, end })
      }),
    )
  })

  it("are canonical exactly when a URL with such a path leaves it alone", () => {
    const part = fc.constantFrom("a", ".", "..", "", "b c", "ü")
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        const name = parts.join("/")
        const url = new URL(`file:///root/${name}`).pathname
        const isUnchanged = url === `/root/${parts.map(encodeURIComponent).join("/")}`
        expect(isModelFileName(name)).toBe(isUnchanged && parts.every((text) => text !== ""))
      }),
    )
  })

  it("count lone surrogates as no name", () => expect(isModelFileName("a\uD800")).toBe(false))
})

describe("the root digest", () => {
  it("covers the raw digests in order, whatever their algorithm", () => {
    expect(toRootDigest([])).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    const [one, two] = [
      { ...file("a"), digest: "00".repeat(32) },
      { ...file("b"), digest: "11".repeat(64) },
    ]
    expect(toRootDigest([one, two])).not.toBe(toRootDigest([two, one]))
  })
})
