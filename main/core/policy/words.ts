/**
 * The director's words to the devices of one bin (docs/FORMAT.md 10.4), as one targets document: the releases it names are its
 * targets, and what is the same for many devices is written once.
 */
import type { Targets } from "@tufjs/models"
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { malformed } from "../tuf/metadata.ts"
import { common, type Signed } from "../tuf/plan.ts"
import { policySchema } from "./policy.ts"
import { matchSchema, releasePath } from "./release.ts"

const FIELD = "x-sealwright-deployments"
const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const deviceIdSchema = z.string().regex(/^[0-9a-f]{32}$/)
/** Grows with every word to this device. */
const counterSchema = z.int().positive()

const saidSchema = z.strictObject({
  release: z.string().min(1).max(128),
  /** The package, which is in the release's index. */
  ociManifest: digestSchema,
  /** Without the firewall: that is for the device alone, and canonical JSON knows no fractions. */
  policy: policySchema.omit({ firewall: true }).nullable(),
})
const headShape = { ring: z.string().max(64), issuedAt: z.iso.datetime() }
const orderSchema = z.union([
  z.strictObject({
    ...headShape,
    run: saidSchema,
    devices: z.record(deviceIdSchema, z.strictObject({ counter: counterSchema, grant: digestSchema })),
  }),
  z.strictObject({
    ...headShape,
    run: z.null(),
    devices: z.record(deviceIdSchema, z.strictObject({ counter: counterSchema })),
  }),
])
const ordersSchema = z.array(orderSchema).max(100_000)
type WrittenOrder = z.infer<typeof orderSchema>

/** What a device is to run: a release as image and director must describe it alike, and its own package and grant in it. */
export interface Run extends z.infer<typeof saidSchema>, z.infer<typeof matchSchema> {
  /** Of the release's index: length in bytes, SHA-256 in hex. */
  readonly length: number
  readonly sha256: string
  readonly grant: string
}

/** What one device was told; `run` null: to run nothing. */
export interface Word {
  readonly deviceId: string
  readonly counter: number
  readonly ring: string
  readonly issuedAt: string
  readonly run: Run | null
}

export function toWords(words: readonly Word[], version: number, expires: string): Signed {
  const targets = new Map<string, object>()
  const orders = new Map<string, WrittenOrder>()
  for (const { deviceId, counter, ring, issuedAt, run } of words) {
    if (run === null) {
      const order = shared(orders, { ring, issuedAt, run, devices: {} })
      Object.assign(order.devices, { [deviceId]: { counter } })
      continue
    }
    const { release, length, sha256, releaseCounter, hardwareIds, ociManifest, policy, grant } = run
    const target = { length, hashes: { sha256 }, custom: { releaseCounter, hardwareIds } }
    const known = shared(targets, target, releasePath(release))
    if (JSON.stringify(known) !== JSON.stringify(target))
      throw new AppError("INTERNAL", `two words describe the release ${release} differently`)
    const order = shared(orders, { ring, issuedAt, run: { release, ociManifest, policy }, devices: {} })
    Object.assign(order.devices, { [deviceId]: { counter, grant } })
  }
  return {
    _type: "targets",
    ...common(version, expires),
    targets: Object.fromEntries(targets),
    [FIELD]: [...orders.values()],
  }
}

/** What stands under `key` already, or else `value` from now on. */
function shared<T extends object>(known: Map<string, T>, value: T, key = JSON.stringify(value)): T {
  const found = known.get(key) ?? value
  known.set(key, found)
  return found
}

/** The words in a document whose signature was checked, by device. Throws METADATA_MALFORMED, also when a device stands there twice. */
export function readWords(signed: Targets): ReadonlyMap<string, Word> {
  const parsed = ordersSchema.safeParse(signed.unrecognizedFields[FIELD])
  if (!parsed.success) throw malformed("the deployments", parsed.error.issues[0]?.path.join(".") ?? "")
  const words = new Map<string, Word>()
  for (const { ring, issuedAt, ...order } of parsed.data) {
    const add = (deviceId: string, counter: number, run: Run | null) => {
      if (words.has(deviceId)) throw malformed("the deployments", "a device stands there twice")
      words.set(deviceId, { deviceId, counter, ring, issuedAt, run })
    }
    if (order.run === null) {
      for (const [deviceId, { counter }] of Object.entries(order.devices)) add(deviceId, counter, null)
      continue
    }
    const { run } = order
    const described = { ...run, ...describedBy(signed, run.release) }
    for (const [deviceId, { counter, grant }] of Object.entries(order.devices))
      add(deviceId, counter, { ...described, grant })
  }
  return words
}

function describedBy({ targets }: Targets, release: string) {
  const path = releasePath(release)
  const target = Object.hasOwn(targets, path) ? targets[path] : undefined
  const match = matchSchema.safeParse(target?.custom)
  if (target === undefined || !match.success)
    throw malformed("the deployments", `the release ${release.slice(0, 40)} is not described`)
  return { ...match.data, length: target.length, sha256: target.hashes["sha256"] ?? "" }
}
