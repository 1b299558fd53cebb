/**
 * What the owner's ledger says, as a journal: segments of entries, each segment tied to the one before it, read from first to
 * last. How segments are encrypted and kept is docs/FORMAT.md, Ledger.
 */
import { createHash } from "node:crypto"
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { toHex, toUtf8 } from "../bytes/bytes.ts"
import { parseJson } from "../bytes/json.ts"
import { MAX_DEVICES, MAX_TRIES, planSchema } from "./plan.ts"

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/)
const timeSchema = z.iso.datetime()

const deviceEntrySchema = z.strictObject({
  kind: z.literal("device"),
  /** The device's name at this desk. It keeps its number for good, whatever key it has. */
  name: z.string().min(1).max(64),
  number: z.int().min(1).max(MAX_DEVICES),
  at: timeSchema,
})

const planEntrySchema = z.strictObject({
  kind: z.literal("plan"),
  plan: planSchema,
  /** Name of the model's file, for people. */
  model: z.string(),
  /** One a tensor, 16 bytes as hex; see `commitmentLeaf`. */
  nonces: z.array(z.string().regex(/^[0-9a-f]{32}$/)).min(1),
  /** C, hex. */
  commitment: sha256Schema,
  /** SHA-256 of the calibration inputs, hex; null when there were none. */
  calibration: sha256Schema.nullable(),
  at: timeSchema,
})

const receiptEntrySchema = z.strictObject({
  kind: z.literal("receipt"),
  /** C of the plan it is for, hex. */
  commitment: sha256Schema,
  /** The signed statement about C and what the mark was measured to cost, as a Sigstore bundle, base64. */
  bundle: z.base64().min(1),
  at: timeSchema,
})

const issuedEntrySchema = z.strictObject({
  kind: z.literal("issued"),
  /** H0 of the plan. */
  modelHash: sha256Schema,
  device: z.int().min(1).max(MAX_DEVICES),
  /** Which of the device's code words the copy carries. */
  attempt: z
    .int()
    .min(0)
    .max(MAX_TRIES - 1),
  mode: z.enum(["individual", "fleet"]),
  /** Root digest of the marked files, hex: what the device's grant names. */
  modelRoot: sha256Schema,
  at: timeSchema,
})

const exportedEntrySchema = z.strictObject({ kind: z.literal("exported"), at: timeSchema })

const entrySchema = z.discriminatedUnion("kind", [
  deviceEntrySchema,
  planEntrySchema,
  receiptEntrySchema,
  issuedEntrySchema,
  exportedEntrySchema,
])
export type LedgerEntry = z.infer<typeof entrySchema>
export type PlanEntry = z.infer<typeof planEntrySchema>
export type IssuedEntry = z.infer<typeof issuedEntrySchema>

const segmentSchema = z.strictObject({
  /** 1: written before there were receipts. */
  version: z.union([z.literal(1), z.literal(2)]),
  /** Counted from 1. */
  number: z.int().min(1),
  /** SHA-256 of the segment before as it is kept (encrypted), hex; of the master key's file for the first. */
  previous: sha256Schema,
  entries: z.array(entrySchema).min(1),
})
export type Segment = z.infer<typeof segmentSchema>

/** Everything the entries add up to. */
export interface LedgerState {
  /** By name. */
  readonly devices: ReadonlyMap<string, number>
  /** By H0. */
  readonly plans: ReadonlyMap<string, PlanEntry>
  readonly issued: readonly IssuedEntry[]
  /** Commitments (hex) a receipt was signed for: no copy leaves before. */
  readonly receipts: ReadonlySet<string>
  /** When a backup was last written; null when there never was one. */
  readonly exportedAt: string | null
}

/** The plaintext of a segment. */
export function writeSegment(segment: Omit<Segment, "version">): Uint8Array<ArrayBuffer> {
  return toUtf8(JSON.stringify({ version: 2, ...segment }))
}

/**
 * Throws LEDGER_DAMAGED unless it is segment `number`, follows the file whose SHA-256 is `previous`, and is of no older version
 * than the segment there.
 */
export function readSegment(
  bytes: Uint8Array,
  number: number,
  previous: string,
  previousVersion: Segment["version"] = 1,
): Segment {
  const parsed = segmentSchema.safeParse(parseJson(bytes, "a segment of the ledger"))
  if (!parsed.success) throw damaged(number, "is not of the form this version writes")
  if (parsed.data.number !== number || parsed.data.previous !== previous)
    throw damaged(number, "does not follow the one before it")
  if (parsed.data.version < previousVersion) throw damaged(number, "is older than the one before it")
  return parsed.data
}

/** SHA-256 of a kept file, hex: what the next segment names. */
export function linkTo(bytes: Uint8Array): string {
  return toHex(createHash("sha256").update(bytes).digest())
}

/** Throws LEDGER_DAMAGED for entries that contradict each other: a name or number used twice, a second plan for a model of
 * which copies are out, a copy of an unknown model, or one without a receipt before it. The first `beforeReceipts` entries are of
 * segments of version 1, which knew no receipts.
 */
export function foldEntries(entries: readonly LedgerEntry[], beforeReceipts = 0): LedgerState {
  const devices = new Map<string, number>()
  const numbers = new Set<number>()
  const plans = new Map<string, PlanEntry>()
  const issued: IssuedEntry[] = []
  const receipts = new Set<string>()
  let exportedAt: string | null = null
  for (const [index, entry] of entries.entries()) {
    switch (entry.kind) {
      case "device":
        if (devices.has(entry.name) || numbers.has(entry.number))
          throw contradiction(`device ${entry.number}`)
        devices.set(entry.name, entry.number)
        numbers.add(entry.number)
        break
      case "plan":
        // A plan is frozen by the first copy that leaves; until then a better one takes its place.
        if (issued.some(({ modelHash }) => modelHash === entry.plan.modelHash))
          throw contradiction("two plans for one model")
        if (entry.nonces.length !== entry.plan.tensors.length)
          throw contradiction("a plan without its nonces")
        plans.set(entry.plan.modelHash, entry)
        break
      case "receipt":
        receipts.add(entry.commitment)
        break
      case "issued": {
        const plan = plans.get(entry.modelHash)
        if (plan === undefined) throw contradiction("a copy of an unknown model")
        if (index >= beforeReceipts && !receipts.has(plan.commitment))
          throw contradiction("a copy that left before its receipt")
        issued.push(entry)
        break
      }
      case "exported":
        exportedAt = entry.at
    }
  }
  return { devices, plans, issued, receipts, exportedAt }
}

/** The lowest number no device has. Throws LEDGER_FULL when all are taken. */
export function nextDeviceNumber(state: LedgerState): number {
  const number = Math.max(0, ...state.devices.values()) + 1
  if (number > MAX_DEVICES)
    throw new AppError("LEDGER_FULL", `all ${MAX_DEVICES} device numbers of this ledger are taken`)
  return number
}

function damaged(number: number, reason: string): AppError {
  return new AppError("LEDGER_DAMAGED", `segment ${number} of the ledger ${reason}`)
}

function contradiction(what: string): AppError {
  return new AppError("LEDGER_DAMAGED", `the ledger contradicts itself: ${what}`)
}
