/** Registries: moving packages there and back, the queue of pushes, logins. The types follow from the schemas. */
import { z } from "zod"
import { errorCodes } from "../errors.ts"
import { fileRefSchema, jobEventSchema, outputSchema } from "./base.ts"

const tagSchema = z.string().min(1).max(128)

/** A registry's address and how to reach it. */
const remoteSchema = z.strictObject({
  kind: z.literal("remote"),
  /** `HOST[:PORT]/NAME`. */
  repository: z.string().min(1).max(512),
  plainHttp: z.boolean(),
  /** Certificates (PEM) of an authority to trust besides the usual ones. */
  authority: fileRefSchema.nullable(),
})
export const placeSchema = z.discriminatedUnion("kind", [
  remoteSchema,
  z.strictObject({ kind: z.literal("folder"), folder: fileRefSchema }),
])
export type Place = z.infer<typeof placeSchema>

export const pushSchema = z.strictObject({ file: fileRefSchema, to: placeSchema, tag: tagSchema })
export type PushRequest = z.infer<typeof pushSchema>

const pushedSchema = z.strictObject({
  name: z.string(),
  repository: z.string(),
  tag: z.string(),
  /** What the tag points to. */
  digest: z.string(),
  /** All that belongs to the package, and what of it was not there before. */
  bytes: z.number(),
  sentBytes: z.number(),
  grants: z.array(z.strictObject({ digest: z.string(), tag: z.string() })),
  seconds: z.number(),
})
export type Pushed = z.infer<typeof pushedSchema>
export const pushEventSchema = jobEventSchema(pushedSchema)

export const pullSchema = z.strictObject({
  from: placeSchema,
  /** A tag or a digest. */
  reference: z.string().min(1).max(128),
  /** Which grants come along: all in reach, or those under certain tags. */
  grants: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("all") }),
    z.strictObject({ kind: z.literal("tags"), tags: z.array(tagSchema).max(10_000) }),
  ]),
  /** Whether trust metadata comes along, where the repository has any. */
  trust: z.enum(["all", "none"]).default("all"),
  output: outputSchema,
})
export type PullRequest = z.infer<typeof pullSchema>

const pulledSchema = z.strictObject({
  name: z.string(),
  repository: z.string(),
  digest: z.string(),
  bytes: z.number(),
  packages: z.number(),
  grants: z.number(),
  bundles: z.number(),
  seconds: z.number(),
})
export type Pulled = z.infer<typeof pulledSchema>
export const pullEventSchema = jobEventSchema(pulledSchema)

/** A push that waits for its registry. */
export const queuedPushSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  /** As people write it. */
  repository: z.string(),
  tag: z.string(),
  addedAt: z.string(),
  attempts: z.number(),
  /** Why the last attempt failed; null before there was one. */
  lastFailure: z.enum(errorCodes).nullable(),
  /** `stopped`: the package itself is at fault, so trying again is of no use. */
  state: z.enum(["waiting", "stopped"]),
})
export type QueuedPush = z.infer<typeof queuedPushSchema>

export const syncSchema = z.strictObject({
  /** Goes on until it is cancelled. */
  watch: z.boolean(),
})
export type SyncRequest = z.infer<typeof syncSchema>
const syncedSchema = z.strictObject({
  pushed: z.array(
    z.strictObject({ name: z.string(), repository: z.string(), tag: z.string(), digest: z.string() }),
  ),
  left: z.array(queuedPushSchema),
})
export type Synced = z.infer<typeof syncedSchema>
export const syncEventSchema = jobEventSchema(syncedSchema)

export const registryHostSchema = remoteSchema.omit({ kind: true, repository: true }).extend({
  /** `HOST[:PORT]`. */
  host: z.string().min(1).max(255),
})
export type RegistryHost = z.infer<typeof registryHostSchema>

/** A registry this workspace works with. */
export const connectionSchema = registryHostSchema.omit({ authority: true }).extend({
  /** Whether the workspace keeps certificates of an authority to trust for this host besides the usual ones. */
  hasAuthority: z.boolean().default(false),
})
export type Connection = z.infer<typeof connectionSchema>

/** The password is asked for where the engine can ask; it is no part of any message. */
export const loginSchema = registryHostSchema.extend({ username: z.string().min(1).max(255) })
export const loginResultSchema = z.strictObject({
  host: z.string(),
  username: z.string(),
  keptBy: z.enum(["helper", "file"]),
})
export const logoutSchema = z.strictObject({ host: z.string().min(1).max(255) })
export const logoutResultSchema = z.strictObject({ host: z.string(), wasLoggedIn: z.boolean() })

export const registryCheckSchema = z.strictObject({
  host: z.string(),
  /** Who it let in. */
  access: z.enum(["anyone", "login"]),
  tls: z.boolean(),
  milliseconds: z.number(),
})
export type RegistryCheck = z.infer<typeof registryCheckSchema>

export const listTagsSchema = z.strictObject({ place: placeSchema })
export const tagListSchema = z.strictObject({
  repository: z.string(),
  tags: z.array(z.strictObject({ tag: z.string(), digest: z.string() })),
})
