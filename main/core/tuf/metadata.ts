/**
 * TUF metadata (specification 1.0.34, section 4) from bytes. Shapes, canonical form and signatures are those of
 * `@tufjs/models`; this file adds what a stranger's bytes need first: a size limit, strict JSON, dates and counts as the
 * specification writes them.
 */
import { Metadata, MetadataKind, type Root, type Snapshot, type Targets, type Timestamp } from "@tufjs/models"
import { AppError } from "../../contract/errors.ts"
import { parseJson, type Json } from "../bytes/json.ts"

export interface MetadataByKind {
  readonly root: Metadata<Root>
  readonly timestamp: Metadata<Timestamp>
  readonly snapshot: Metadata<Snapshot>
  readonly targets: Metadata<Targets>
}
export type Kind = keyof MetadataByKind

/** Largest document of each kind, bytes: what a client reads before any length was signed (5.2 to 5.6). */
export const MAX_BYTES: Readonly<Record<Kind, number>> = {
  root: 512_000,
  timestamp: 16_384,
  snapshot: 2_000_000,
  targets: 5_000_000,
}

/** Throws METADATA_MALFORMED; nothing about signatures is decided here. */
export function parseMetadata<K extends Kind>(kind: K, bytes: Uint8Array, name: string): MetadataByKind[K] {
  if (bytes.length > MAX_BYTES[kind])
    throw new AppError("METADATA_TOO_LARGE", `${name} is ${bytes.length} bytes, more than ${MAX_BYTES[kind]}`)
  const json = asObject(readJson(bytes, name), name)
  checkCommon(asObject(json["signed"] ?? null, name), name)
  try {
    return PARSERS[kind](json)
  } catch (error) {
    throw malformed(name, error instanceof Error ? error.message : "its form")
  }
}

type JsonObject = Parameters<typeof Metadata.fromJSON>[1]

const PARSERS: { readonly [K in Kind]: (json: JsonObject) => MetadataByKind[K] } = {
  root: (json) => Metadata.fromJSON(MetadataKind.Root, json),
  timestamp: (json) => Metadata.fromJSON(MetadataKind.Timestamp, json),
  snapshot: (json) => Metadata.fromJSON(MetadataKind.Snapshot, json),
  targets: (json) => Metadata.fromJSON(MetadataKind.Targets, json),
}

export function malformed(name: string, reason: string): AppError {
  return new AppError("METADATA_MALFORMED", `${name} is not valid metadata: ${reason}`)
}

/** Common fields (4.3): the models take any date Node can read and any number as a version. */
function checkCommon(signed: JsonObject, name: string): void {
  const { version, expires } = signed
  if (typeof version !== "number" || !Number.isSafeInteger(version) || version < 1)
    throw malformed(name, "the version is not a positive integer")
  if (typeof expires !== "string" || !DATE.test(expires) || Number.isNaN(Date.parse(expires)))
    throw malformed(name, "the expiry is not a date in UTC to the second")
}

/** 4.2: ISO 8601, always UTC, no fractions. */
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

function readJson(bytes: Uint8Array, name: string): Json {
  try {
    return parseJson(bytes, name)
  } catch (error) {
    if (error instanceof AppError) throw new AppError("METADATA_MALFORMED", error.message, { cause: error })
    throw error
  }
}

function asObject(json: Json | JsonObject[string], name: string): JsonObject {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw malformed(name, "it is not an object")
  // Strict JSON without arrays at this place is an object of JSON values: exactly the models' JSONObject.
  return json as JsonObject
}
