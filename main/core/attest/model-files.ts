/** Whether a folder holds exactly the files of a signed list: Model Signing v1.0, 8.4. */
import { AppError } from "../../contract/errors.ts"
import { toHex } from "../bytes/bytes.ts"
import { quoted } from "./document.ts"
import type { ModelHash, ModelManifest } from "./model-manifest.ts"
import { groupByPath, SINGLE_FILE, toSignedSize, type ModelResource } from "./model-resource.ts"

/** A regular file that is there, by its name relative to the model's folder. */
export interface PresentFile {
  readonly name: string
  readonly sizeBytes: number
}

/** Digest of the bytes [start, end) of a present file; `algorithm` is a name that node:crypto knows. */
export type RangeDigest = (
  name: string,
  start: number,
  end: number,
  algorithm: "sha256" | "blake2b512",
) => Promise<Uint8Array>

export interface CheckedModel {
  /** Names of the files whose content is what was signed. */
  readonly checked: readonly string[]
  /** Files that are there, are not signed, and were passed over, with the rule that allowed it. */
  readonly ignored: readonly { readonly name: string; readonly rule: IgnoreRule }[]
}

type IgnoreRule =
  /** `.git`, `.gitignore`, `.gitattributes`, `.github` at the top (6.2). */
  | "default"
  /** The signature file itself (6.2). */
  | "signature"
  /** `ignore_paths` of the signed list: the signer's decision. */
  | "signer"
  /** A file without bytes has no shards, so a sharded list cannot name it (6.3.2). */
  | "empty"

/**
 * Compares names first, byte for byte, then contents. `files` is everything in the model's folder (for a single-file
 * model: that file), enumerated by the symlink policy of the list; `signatureFile` is the signature's own name when it
 * lies there too. A file that is listed is checked whatever the rules would ignore.
 *
 * Throws SIGNATURE_MISMATCH when a listed file is missing or differs or an unlisted one is there, and
 * SIGNATURE_UNSUPPORTED for BLAKE3 digests, which node:crypto cannot make.
 */
export async function checkModelFiles(
  manifest: ModelManifest,
  files: readonly PresentFile[],
  digest: RangeDigest,
  signatureFile: string | null = null,
): Promise<CheckedModel> {
  const algorithm = DIGEST_NAME[manifest.serialization.hash]
  if (algorithm === null) {
    throw new AppError(
      "SIGNATURE_UNSUPPORTED",
      `digests of type ${manifest.serialization.hash} cannot be made here`,
    )
  }
  const listed = groupByPath(manifest.resources)
  const rules = toIgnoreRules(manifest, signatureFile)
  const ignored: { name: string; rule: IgnoreRule }[] = []
  const present = new Map<string, PresentFile>()
  for (const file of files) {
    const rule = listed.has(file.name) ? null : rules(file)
    if (rule === null) present.set(file.name, file)
    else ignored.push({ name: file.name, rule })
  }
  const pairs = pairFiles(listed, present)
  if (manifest.serialization.method === "shards") checkSizes(pairs)
  for (const { file, resources } of pairs) {
    for (const { range, digest: signed } of resources) {
      const { start, end } = range ?? { start: 0, end: file.sizeBytes }
      const found = toHex(await digest(file.name, start, end, algorithm))
      if (found !== signed) throw mismatch(`${quoted(file.name)} is not the file that was signed`)
    }
  }
  return { checked: pairs.map(({ file }) => file.name), ignored }
}

interface Pair {
  readonly file: PresentFile
  readonly resources: readonly ModelResource[]
}

const DIGEST_NAME: Readonly<Record<ModelHash, "sha256" | "blake2b512" | null>> = {
  sha256: "sha256",
  blake2b: "blake2b512",
  blake3: null,
}

const DEFAULT_IGNORED = new Set([".git", ".gitignore", ".gitattributes", ".github"])

/** 6.2.1: defaults are components at the top; the signer's entries are exact paths. Both cover what lies below them. */
function toIgnoreRules(
  { serialization }: ModelManifest,
  signatureFile: string | null,
): (file: PresentFile) => IgnoreRule | null {
  const bySigner = new Set(serialization.ignorePaths)
  return ({ name, sizeBytes }) => {
    const places = toPlaces(name)
    if (name === signatureFile) return "signature"
    if (DEFAULT_IGNORED.has(places[0] ?? name)) return "default"
    if (places.some((place) => bySigner.has(place))) return "signer"
    return serialization.method === "shards" && sizeBytes === 0 ? "empty" : null
  }
}

/** `a/b/c` lies at `a`, `a/b` and `a/b/c`. */
function toPlaces(name: string): readonly string[] {
  const parts = name.split("/")
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"))
}

/** 8.4 steps 8 and 9, names: every listed file is there, and no other. */
function pairFiles(
  listed: ReadonlyMap<string, readonly ModelResource[]>,
  present: ReadonlyMap<string, PresentFile>,
): readonly Pair[] {
  const single = listed.get(SINGLE_FILE)
  if (single !== undefined) {
    const [file, ...others] = present.values()
    if (file === undefined || others.length > 0) {
      throw mismatch(`a single file was signed, ${present.size} are there`)
    }
    return [{ file, resources: single }]
  }
  const missing = [...listed.keys()].filter((name) => !present.has(name))
  if (missing.length > 0) throw mismatch(`${listNames(missing)} signed but not there`)
  const extra = [...present.keys()].filter((name) => !listed.has(name))
  if (extra.length > 0) throw mismatch(`${listNames(extra)} there but not signed`)
  return [...present.values()].map((file) => ({ file, resources: listed.get(file.name) ?? [] }))
}

function checkSizes(pairs: readonly Pair[]): void {
  for (const { file, resources } of pairs) {
    const signed = toSignedSize(resources)
    if (signed !== file.sizeBytes) {
      throw mismatch(`${quoted(file.name)} has ${file.sizeBytes} bytes, ${signed} were signed`)
    }
  }
}

function listNames(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES).map(quoted).join(", ")
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : ""
  return `${shown}${more} ${names.length === 1 ? "is" : "are"}`
}

const MAX_NAMES = 5

function mismatch(message: string): AppError {
  return new AppError("SIGNATURE_MISMATCH", message)
}
