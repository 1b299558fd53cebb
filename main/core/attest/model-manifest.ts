/** The file list inside a model signature: OpenSSF Model Signing v1.0, sections 5 and 6, read and written. */
import { z } from "zod"
import { malformed, parseDocument, quoted } from "./document.ts"
import {
  checkResources,
  isModelFileName,
  parseShardName,
  toResourceName,
  toRootDigest,
  type ModelResource,
} from "./model-resource.ts"
import { checkPredicateType, toStatementBytes, type Statement } from "./statement.ts"

export const MODEL_SIGNATURE_TYPE = "https://model_signing/signature/v1.0"

/** Algorithm Registry: 32, 64 and 32 bytes. */
export type ModelHash = "sha256" | "blake2b" | "blake3"

interface CommonSerialization {
  readonly hash: ModelHash
  /** Whether the signer followed symbolic links. Whoever enumerates files for the check does the same (6.1.1). */
  readonly allowSymlinks: boolean
  /** Left out of the list by the signer, who may have left out weights: show it. The order means nothing. */
  readonly ignorePaths: readonly string[]
}

/** 6.3: whole files, or ranges of `shardSize` bytes of which only a file's last is shorter. */
export type Serialization =
  | (CommonSerialization & { readonly method: "files" })
  | (CommonSerialization & { readonly method: "shards"; readonly shardSize: number })

export interface ModelManifest {
  /** What the signer called the model; informational (6.5). */
  readonly modelName: string
  readonly serialization: Serialization
  /** In the order that was signed. */
  readonly resources: readonly ModelResource[]
}

/** The statement to sign, byte for byte as the reference writes it (but for a shard size, which is a float there). */
export function toManifestStatement({
  modelName,
  serialization,
  resources,
}: ModelManifest): Uint8Array<ArrayBuffer> {
  return toStatementBytes({
    subjects: [{ name: modelName, digest: { sha256: toRootDigest(resources) } }],
    predicateType: MODEL_SIGNATURE_TYPE,
    predicate: {
      serialization: {
        method: serialization.method,
        hash_type: serialization.hash,
        allow_symlinks: serialization.allowSymlinks,
        ...(serialization.method === "shards" && { shard_size: serialization.shardSize }),
        ...(serialization.ignorePaths.length > 0 && { ignore_paths: serialization.ignorePaths }),
      },
      resources: resources.map((resource) => ({
        algorithm: resource.algorithm,
        digest: resource.digest,
        name: toResourceName(resource),
      })),
    },
  })
}

/**
 * The manifest of a statement whose signature was checked. Throws SIGNATURE_MALFORMED for another predicate (v0.2.0's
 * `https://model_signing/Digests/v0.1` included), a list without entries, entries that checkResources refuses, digests of
 * another algorithm or length, and a root that does not cover the list as it stands.
 */
export function toModelManifest(statement: Statement): ModelManifest {
  checkPredicateType(statement, MODEL_SIGNATURE_TYPE)
  const [subject, ...others] = statement.subjects
  if (subject === undefined || others.length > 0) throw malformed("a model signature has one subject")
  const predicate = parseDocument(statement.predicate, "the model signature", predicateSchema)
  const serialization = toSerialization(predicate.serialization)
  const resources = predicate.resources.map((resource) => toResource(resource, serialization))
  checkResources(resources, serialization.method === "shards" ? serialization.shardSize : null)
  if (toRootDigest(resources) !== subject.digest["sha256"]) {
    throw malformed("the root digest of the model signature is not that of its list")
  }
  return { modelName: subject.name, serialization, resources }
}

type Predicate = z.infer<typeof predicateSchema>

function toSerialization(fields: Predicate["serialization"]): Serialization {
  const common = {
    hash: fields.hash_type,
    allowSymlinks: fields.allow_symlinks,
    ignorePaths: [...new Set(fields.ignore_paths)],
  }
  // 6.2.1: exact relative paths. A glob means something that is not done here, so it is refused, not taken literally.
  const unusable = common.ignorePaths.find((path) => !isModelFileName(path) || /[*?[]/.test(path))
  if (unusable !== undefined)
    throw malformed(`the ignored path ${quoted(unusable)} is not a plain relative path`)
  const { method, shard_size: shardSize } = fields
  if (method === "shards" && shardSize !== undefined) return { ...common, method, shardSize }
  if (method === "files" && shardSize === undefined) return { ...common, method }
  throw malformed("a model signature has a shard size exactly when its method is shards")
}

function toResource(fields: Predicate["resources"][number], serialization: Serialization): ModelResource {
  const { name, algorithm, digest } = fields
  const { method, hash } = serialization
  const isExpected =
    algorithm === hash || (method === "shards" && algorithm === `${hash}-sharded-${serialization.shardSize}`)
  if (!isExpected)
    throw malformed(`the digest of ${quoted(name)} is ${quoted(algorithm)}, the list says ${hash}`)
  if (digest.length !== HEX_LENGTH[hash]) {
    throw malformed(
      `the digest of ${quoted(name)} has ${digest.length} hex characters, ${hash} has ${HEX_LENGTH[hash]}`,
    )
  }
  if (method === "files") return { path: name, range: null, algorithm, digest }
  const shard = parseShardName(name)
  if (shard === null) throw malformed(`${quoted(name)} is not the name of a shard`)
  return { path: shard.path, range: { start: shard.start, end: shard.end }, algorithm, digest }
}

const HEX_LENGTH: Readonly<Record<ModelHash, number>> = { sha256: 64, blake2b: 128, blake3: 64 }
const MAX_RESOURCES = 200_000
const MAX_IGNORED = 10_000
const MAX_NAME = 4096

const predicateSchema = z.strictObject({
  resources: z
    .array(
      // Unknown fields of a resource are ignored (5.2.1, Note); those of the predicate and of its parameters are not.
      z.object({
        name: z.string().min(1).max(MAX_NAME),
        digest: z.string().regex(/^[0-9a-f]+$/, "not lower-case hex"),
        algorithm: z.string().max(64),
      }),
    )
    .min(1)
    .max(MAX_RESOURCES),
  serialization: z.strictObject({
    method: z.enum(["files", "shards"]),
    hash_type: z.enum(["sha256", "blake2b", "blake3"]),
    allow_symlinks: z.boolean(),
    // The reference writes 8.0: compared as a number.
    shard_size: z.number().int().positive().optional(),
    ignore_paths: z.array(z.string().max(MAX_NAME)).max(MAX_IGNORED).default([]),
  }),
})
