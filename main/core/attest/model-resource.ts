/** One entry of a model signature's list: a file, or a shard of one. Model Signing v1.0, sections 5.2.1, 6.1.2, 6.3.2, 6.5.1. */
import { createHash } from "node:crypto"
import { toUtf8 } from "../bytes/bytes.ts"
import { malformed, quoted } from "./document.ts"

export interface ModelResource {
  /** Relative, `/` between folders; SINGLE_FILE in older signatures. */
  readonly path: string
  /** Bytes [start, end) of a shard, `null` for a whole file. */
  readonly range: { readonly start: number; readonly end: number } | null
  /** As signed: the hash, or `sha256-sharded-8` and the like in the reference's sharded signatures. */
  readonly algorithm: string
  /** Lower-case hex. */
  readonly digest: string
}

/** What signatures of the reference call the one file of a single-file model; the specification uses the file's name. */
export const SINGLE_FILE = "."

/**
 * 6.1.2: relative, `/` between folders, nothing empty, no `.` or `..` part. Backslashes are refused beyond that, because
 * on Windows they separate folders, and so is a NUL.
 */
export function isModelFileName(name: string): boolean {
  return (
    name.isWellFormed() &&
    !/[\\\0]/.test(name) &&
    name.split("/").every((part) => part !== "" && part !== "." && part !== "..")
  )
}

/** Sorts by name in Unicode code point order (5.2.1), which is the order of the UTF-8 bytes and not that of UTF-16. */
export function sortByName<T extends { readonly name: string }>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, key: toUtf8(item.name) }))
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map(({ item }) => item)
}

/** The root digest, hex: always SHA-256, over the raw digests in array order (6.5.1). */
export function toRootDigest(resources: readonly ModelResource[]): string {
  const root = createHash("sha256")
  for (const { digest } of resources) root.update(digest, "hex")
  return root.digest("hex")
}

export function toResourceName({ path, range }: ModelResource): string {
  return range === null ? path : `${path}:${range.start}:${range.end}`
}

/** 6.3.2: the last two numbers of `<path>:<start>:<end>`, since a path may hold colons. `null` when it is no such name. */
export function parseShardName(name: string): { path: string; start: number; end: number } | null {
  const [, path, start, end] = /^(.+):(0|[1-9]\d{0,14}):([1-9]\d{0,14})$/s.exec(name) ?? []
  return path === undefined ? null : { path, start: Number(start), end: Number(end) }
}

/** By path, in the order of first mention. */
export function groupByPath(
  resources: readonly ModelResource[],
): ReadonlyMap<string, readonly ModelResource[]> {
  return Map.groupBy(resources, ({ path }) => path)
}

/** Bytes of a file that its shards cover. */
export function toSignedSize(shards: readonly ModelResource[]): number {
  return shards.reduce((size, { range }) => Math.max(size, range?.end ?? 0), 0)
}

/**
 * Throws SIGNATURE_MALFORMED for names that are not canonical, for a file that stands twice, and for shards that do not
 * follow each other in steps of `shardSize` from byte 0, in whatever order they were signed. `shardSize` is `null` for
 * whole files.
 */
export function checkResources(resources: readonly ModelResource[], shardSize: number | null): void {
  const groups = groupByPath(resources)
  for (const [path, group] of groups) {
    // Among other files "." would name nothing.
    const isSingleFile = path === SINGLE_FILE && groups.size === 1
    if (!isModelFileName(path) && !isSingleFile)
      throw malformed(`${quoted(path)} is not a plain relative file name`)
    if (shardSize !== null) checkShards(path, group, shardSize)
    else if (group.length > 1) throw malformed(`${quoted(path)} stands twice in the model signature`)
  }
}

function checkShards(path: string, shards: readonly ModelResource[], shardSize: number): void {
  const size = toSignedSize(shards)
  const starts = new Set<number>()
  for (const { range } of shards) {
    const { start, end } = range ?? { start: -1, end: -1 }
    if (start % shardSize !== 0 || end <= start || end !== Math.min(start + shardSize, size)) {
      throw malformed(
        `the shard of ${quoted(path)} from byte ${start} to ${end} is not one of ${shardSize} bytes`,
      )
    }
    starts.add(start)
  }
  // Aligned, full but for the last, none twice: as many as the size needs are all of them.
  if (starts.size !== shards.length || shards.length !== Math.ceil(size / shardSize)) {
    throw malformed(`the shards of ${quoted(path)} do not cover it once`)
  }
}
