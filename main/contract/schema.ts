/** Everything that crosses a process boundary, as schemas; the types follow from them. */
import { z } from "zod"
import { errorCodes } from "./errors.ts"

/** Stands for a file the engine may touch. A host issues it; clients never see or send paths. */
export const fileRefSchema = z.string().min(8).max(64).brand("FileRef")
export type FileRef = z.infer<typeof fileRefSchema>

/** Where a result goes. Without `replace` an existing file is refused. */
const outputSchema = z.strictObject({ file: fileRefSchema, replace: z.boolean() })

/** Names people give to keys and devices. */
const nameSchema = z.string().min(1).max(64)

/** How sure we are of where a private key lives. */
const assuranceSchema = z.enum(["software", "hardware", "attested"])
export type Assurance = z.infer<typeof assuranceSchema>

const modeSchema = z.enum(["individual", "fleet"])
export type Mode = z.infer<typeof modeSchema>

const failureSchema = z.strictObject({ code: z.enum(errorCodes), message: z.string() })
export type Failure = z.infer<typeof failureSchema>

/** One sign of life of a job. `rate` in bytes (or rows) per second; `etaSeconds` is null while it cannot be known. */
const progressSchema = z.strictObject({
  kind: z.literal("progress"),
  step: z.string(),
  unit: z.enum(["bytes", "rows"]),
  done: z.number(),
  total: z.number(),
  rate: z.number(),
  etaSeconds: z.number().nullable(),
})
export type Progress = z.infer<typeof progressSchema>

/** What a job's stream carries: any number of progress events, then exactly one result or failure. */
function jobEventSchema<T extends z.ZodType>(result: T) {
  return z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("started"), job: z.string() }),
    progressSchema,
    z.strictObject({ kind: z.literal("result"), result }),
    z.strictObject({ kind: z.literal("failed"), failure: failureSchema }),
  ])
}
export type JobEvent<T> =
  | { readonly kind: "started"; readonly job: string }
  | Progress
  | { readonly kind: "result"; readonly result: T }
  | { readonly kind: "failed"; readonly failure: Failure }

/** A job the engine knows of. */
export const jobSchema = z.strictObject({
  job: z.string(),
  title: z.string(),
  state: z.enum(["running", "done", "failed", "cancelled"]),
  startedAt: z.string(),
  progress: progressSchema.nullable(),
})
export type Job = z.infer<typeof jobSchema>

// Keys and devices -------------------------------------------------------------------------------------------------------

export const keySchema = z.strictObject({
  name: z.string(),
  purpose: z.enum(["signing", "device"]),
  algorithm: z.enum(["P-256", "X25519"]),
  provider: z.enum(["software"]),
  assurance: assuranceSchema,
  /** SPKI PEM of a P-256 key. */
  publicKeyPem: z.string().nullable(),
  /** Recipient text of a device key. */
  recipient: z.string().nullable(),
  /** SHA-256 of the public key as the field names it: the hint in signatures, hex. */
  fingerprint: z.string(),
  createdAt: z.string(),
})
export type Key = z.infer<typeof keySchema>

export const createKeySchema = z.strictObject({
  name: nameSchema,
  purpose: z.enum(["signing", "device"]),
})

export const deviceSchema = z.strictObject({
  name: z.string(),
  recipient: z.string(),
  recipientType: z.string(),
  assurance: assuranceSchema,
  /** Whether this workspace also holds the device's private key. */
  holdsKey: z.boolean(),
  addedAt: z.string(),
})
export type Device = z.infer<typeof deviceSchema>

export const addDeviceSchema = z.strictObject({
  name: nameSchema,
  /** Exactly one way to the device's key: its public text, a fresh software key, or a device key of this workspace. */
  key: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("recipient"), recipient: z.string() }),
    z.strictObject({ kind: z.literal("software") }),
    z.strictObject({ kind: z.literal("key"), name: nameSchema }),
  ]),
})

export const namedSchema = z.strictObject({ name: nameSchema })

// Inspect ----------------------------------------------------------------------------------------------------------------

const valueInfoSchema = z.strictObject({
  name: z.string(),
  type: z.string(),
  /** Sizes, names of dynamic dimensions, or null where the model says nothing. */
  shape: z.array(z.union([z.number(), z.string(), z.null()])).nullable(),
})

const modelSummarySchema = z.strictObject({
  kind: z.literal("model"),
  name: z.string(),
  bytes: z.number(),
  irVersion: z.number(),
  producer: z.string(),
  opsets: z.array(z.strictObject({ domain: z.string(), version: z.number() })),
  inputs: z.array(valueInfoSchema),
  outputs: z.array(valueInfoSchema),
  nodes: z.number(),
  operators: z.array(z.strictObject({ name: z.string(), count: z.number() })),
  customDomains: z.array(z.string()),
  parameters: z.number(),
  tensors: z.array(
    z.strictObject({
      name: z.string(),
      path: z.string(),
      type: z.string(),
      shape: z.array(z.number()),
      bytes: z.number(),
      storage: z.string(),
    }),
  ),
  externalFiles: z.array(z.strictObject({ name: z.string(), bytes: z.number() })),
})
export type ModelSummary = z.infer<typeof modelSummarySchema>

const packageSummarySchema = z.strictObject({
  kind: z.literal("package"),
  name: z.string(),
  bytes: z.number(),
  packages: z.array(
    z.strictObject({ digest: z.string(), payloadBytes: z.number(), recipients: z.array(z.string()) }),
  ),
  grants: z.array(z.strictObject({ digest: z.string(), bytes: z.number(), recipients: z.array(z.string()) })),
  signatures: z.array(
    z.strictObject({
      subject: z.string(),
      predicateType: z.string(),
      keyHint: z.string().nullable(),
      statement: z.unknown(),
    }),
  ),
})
export type PackageSummary = z.infer<typeof packageSummarySchema>

export const inspectSchema = z.strictObject({ file: fileRefSchema })
export const summarySchema = z.discriminatedUnion("kind", [modelSummarySchema, packageSummarySchema])
export type Summary = z.infer<typeof summarySchema>

// Protect ----------------------------------------------------------------------------------------------------------------

export const protectSchema = z.strictObject({
  model: fileRefSchema,
  devices: z.array(nameSchema).min(1).max(10_000),
  /** Name of a signing key; null takes the workspace's only one, or makes one when there is none. */
  signingKey: nameSchema.nullable(),
  escrow: z.array(z.string()).max(16),
  mode: modeSchema,
  output: outputSchema,
})
export type ProtectRequest = z.infer<typeof protectSchema>

const notAppliedSchema = z.strictObject({ what: z.string(), why: z.string() })

const protectedSchema = z.strictObject({
  name: z.string(),
  bytes: z.number(),
  mode: modeSchema,
  devices: z.array(z.string()),
  packages: z.array(
    z.strictObject({ digest: z.string(), payloadDigest: z.string(), payloadBytes: z.number() }),
  ),
  grants: z.number(),
  /** Root digest of the signed file list of the plaintext (OMS), hex. */
  modelRoot: z.string(),
  modelBytes: z.number(),
  signedBy: z.strictObject({
    key: z.string(),
    fingerprint: z.string(),
    assurance: assuranceSchema,
    created: z.boolean(),
  }),
  notApplied: z.array(notAppliedSchema),
  seconds: z.number(),
})
export type Protected = z.infer<typeof protectedSchema>
export const protectEventSchema = jobEventSchema(protectedSchema)

// Verify -----------------------------------------------------------------------------------------------------------------

export const verifySchema = z.strictObject({
  file: fileRefSchema,
  device: nameSchema.nullable(),
  /** A PEM file or a folder of them; null means the keys this workspace trusts. */
  trust: fileRefSchema.nullable(),
})
export type VerifyRequest = z.infer<typeof verifySchema>

const checkSchema = z.strictObject({
  id: z.string(),
  /** Section of docs/FORMAT.md. */
  section: z.string(),
  title: z.string(),
  result: z.enum(["passed", "failed", "skipped"]),
  code: z.enum(errorCodes).nullable(),
  reason: z.string(),
})
export type Check = z.infer<typeof checkSchema>

const verdictSchema = z.strictObject({
  verdict: z.enum(["verified", "refused"]),
  name: z.string(),
  checks: z.array(checkSchema),
  /** What the signed statement of the package says; empty until its signature is verified. */
  statement: z.record(z.string(), z.unknown()),
  signers: z.array(z.strictObject({ fingerprint: z.string(), label: z.string() })),
  notApplied: z.array(notAppliedSchema),
  seconds: z.number(),
})
export type Verdict = z.infer<typeof verdictSchema>
export const verifyEventSchema = jobEventSchema(verdictSchema)

// Open -------------------------------------------------------------------------------------------------------------------

export const openSchema = z.strictObject({
  file: fileRefSchema,
  device: nameSchema,
  trust: fileRefSchema.nullable(),
  output: outputSchema,
})
export type OpenRequest = z.infer<typeof openSchema>

const openedSchema = z.strictObject({
  files: z.array(z.strictObject({ name: z.string(), bytes: z.number(), sha256: z.string() })),
  seconds: z.number(),
})
export type Opened = z.infer<typeof openedSchema>
export const openEventSchema = jobEventSchema(openedSchema)

// Run and validate -------------------------------------------------------------------------------------------------------

const normaliseSchema = z.strictObject({ mean: z.number(), std: z.number().positive() })
export type Normalise = z.infer<typeof normaliseSchema>

const levelSchema = z.enum(["R0"])
export type RuntimeLevel = z.infer<typeof levelSchema>

export const runSchema = z.strictObject({
  file: fileRefSchema,
  device: nameSchema,
  trust: fileRefSchema.nullable(),
  /** One array an input; a name of null is the model's only input. */
  inputs: z
    .array(z.strictObject({ name: z.string().nullable(), file: fileRefSchema }))
    .min(1)
    .max(64),
  normalise: normaliseSchema.nullable(),
  batch: z.int().positive().max(65_536).nullable(),
  /** The first output, or the one named. */
  output: z
    .strictObject({ file: fileRefSchema, replace: z.boolean(), name: z.string().nullable() })
    .nullable(),
})
export type RunRequest = z.infer<typeof runSchema>

const arrayInfoSchema = z.strictObject({ name: z.string(), type: z.string(), shape: z.array(z.number()) })

const ranSchema = z.strictObject({
  rows: z.number(),
  batch: z.number(),
  level: levelSchema,
  outputs: z.array(arrayInfoSchema),
  /** What was done to the data to fit the model's input, in words. */
  conversions: z.array(z.string()),
  loadSeconds: z.number(),
  runSeconds: z.number(),
})
export type Ran = z.infer<typeof ranSchema>
export const runEventSchema = jobEventSchema(ranSchema)

export const validateSchema = z.strictObject({
  file: fileRefSchema,
  device: nameSchema,
  trust: fileRefSchema.nullable(),
  model: fileRefSchema,
  data: fileRefSchema,
  labels: fileRefSchema.nullable(),
  normalise: normaliseSchema.nullable(),
  batch: z.int().positive().max(65_536).nullable(),
  /** Folder for report.html and report.json. */
  report: outputSchema,
})
export type ValidateRequest = z.infer<typeof validateSchema>

const latencySchema = z.strictObject({ p50: z.number(), p90: z.number(), p99: z.number(), mean: z.number() })

/** The body of report.json. Latencies and load times in milliseconds a batch. */
const validationSchema = z.strictObject({
  version: z.literal(1),
  createdAt: z.string(),
  tool: z.string(),
  package: z.strictObject({ name: z.string(), digest: z.string() }),
  model: z.strictObject({ name: z.string(), parameters: z.number(), bytes: z.number() }),
  data: z.strictObject({ name: z.string(), rows: z.number(), sha256: z.string() }),
  machine: z.strictObject({ cpu: z.string(), cores: z.number(), memoryBytes: z.number(), os: z.string() }),
  level: levelSchema,
  batch: z.number(),
  conversions: z.array(z.string()),
  equality: z.strictObject({
    rows: z.number(),
    identicalRows: z.number(),
    maxAbsoluteDifference: z.number(),
  }),
  accuracy: z
    .strictObject({
      kind: z.enum(["top-1", "r2"]),
      plain: z.number(),
      sealed: z.number(),
      agreement: z.number(),
    })
    .nullable(),
  latencyMs: z.strictObject({
    batches: z.number(),
    plain: latencySchema,
    sealed: latencySchema,
    /** sealed p50 / plain p50. */
    overhead: z.number(),
  }),
  loadMs: z.strictObject({
    plain: z.number(),
    sealed: z.number(),
    decrypt: z.number(),
    verify: z.number(),
    session: z.number(),
  }),
  peakMemoryBytes: z.strictObject({ plain: z.number(), sealed: z.number() }),
  samplesMs: z.strictObject({ plain: z.array(z.number()), sealed: z.array(z.number()) }),
  notApplied: z.array(notAppliedSchema),
})
export type Validation = z.infer<typeof validationSchema>

const validatedSchema = z.strictObject({
  validation: validationSchema,
  files: z.array(z.string()),
})
export type Validated = z.infer<typeof validatedSchema>
export const validateEventSchema = jobEventSchema(validatedSchema)

// Quickstart and doctor --------------------------------------------------------------------------------------------------

export const quickstartSchema = z.strictObject({ out: outputSchema })

const quickstartedSchema = z.strictObject({
  protected: protectedSchema,
  verdict: verdictSchema,
  ran: ranSchema,
  validation: validationSchema,
  files: z.array(z.string()),
  seconds: z.number(),
})
export type Quickstarted = z.infer<typeof quickstartedSchema>
export const quickstartEventSchema = jobEventSchema(quickstartedSchema)

const doctorCheckSchema = z.strictObject({
  id: z.string(),
  title: z.string(),
  result: z.enum(["ok", "limited", "missing"]),
  detail: z.string(),
  /** The command or setting that would change it; empty when nothing needs to. */
  fix: z.string(),
})
export type DoctorCheck = z.infer<typeof doctorCheckSchema>
export const doctorSchema = z.strictObject({
  version: z.string(),
  node: z.string(),
  platform: z.string(),
  checks: z.array(doctorCheckSchema),
})
export type DoctorReport = z.infer<typeof doctorSchema>
