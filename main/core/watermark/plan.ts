/**
 * The plan of a model: everything embedding and detection must agree on, frozen before any key of the mark exists, so that
 * keys are independent of it. One plan serves both modes. The normative text is docs/FORMAT.md, The mark.
 *
 * With θ a weight in canonical form, σ the standard deviation of its row, s0 and s the signs of its carriers, x the bit of
 * the device's code word (all of them functions of K_t and the position), a marked weight of the form `float` is
 *
 *     individual            θ + σ·β·(s0 + s·(2x - 1))
 *     fleet, outside of S   θ + σ·β·s0                       (in the payload, the same for every device)
 *     fleet, inside of S    θ + σ·(β·s0 + β1·s·(2x - 1))     (in the device's overlay; the payload holds filler)
 *     fleet, decoys         θ + σ·β·s0                       (in every overlay; the payload holds filler)
 *
 * and one of the form `quantised` moves by at most one step Δ of its row: with u its lsb-pick as a fraction of 2^32,
 * π0 = min(0.5, (β·σ/Δ)²) and π1 likewise of the code,
 *
 *     u < π0                q + s0
 *     π0 <= u < π0 + π1     q + s·(2x - 1)                   (fleet: only inside of S)
 *
 * Weights that are exactly zero, and rows whose σ is zero, carry nothing; `isSteppable` names the quantised values that do.
 */
import { createHash } from "node:crypto"
import { z } from "zod"
import { concat, toHex } from "../bytes/bytes.ts"

/** Strengths are whole multiples of this, in units of σ: exact in every language. */
export const STRENGTH_UNIT = 2 ** -20
/** Weights that enter or leave S together; blocks are counted from the tensor's first element. */
export const SUBSET_BLOCK = 8
/** Denominator of `subset` and `decoys`. */
export const SUBSET_RANGE = 65_536
/** Code words a model can have, and words that may be drawn for one device. Both are committed to. */
export const MAX_DEVICES = 100_000
export const MAX_TRIES = 8

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/)

const parametersSchema = z.strictObject({
  /** How the mark moves a weight: by an amount, or by whole steps of its quantisation. */
  form: z.enum(["float", "quantised"]),
  /** Axis of `dims` that counts the tensor's rows: the outputs of its layer. */
  rowAxis: z.int().min(0).max(63),
  /** β in units of 2^-20 σ: the owner's mark, and in individual mode the device's. */
  strength: z
    .int()
    .min(1)
    .max(2 ** 20),
  /** β1 in the same units: the device's mark inside S. */
  codeStrength: z
    .int()
    .min(1)
    .max(2 ** 20),
  /** A block is in S when its subset value (u16 little-endian of its stream) is below this; 0 keeps the tensor out of S. */
  subset: z.int().min(0).max(SUBSET_RANGE),
  /** …and a decoy when it is not in S and below `subset + decoys`. */
  decoys: z.int().min(0).max(SUBSET_RANGE),
})
/** The frozen parameters of one tensor (params_t). */
export type MarkParameters = z.infer<typeof parametersSchema>

const plannedTensorSchema = z.strictObject({
  /** H_t, hex: SHA-256 over rank (u32be), dims (u64be each) and the canonical values (float32 little-endian) in stored order. */
  hash: sha256Schema,
  /** Where it was found first, for people: names are not part of what is agreed on. */
  name: z.string(),
  path: z.string(),
  dims: z.array(z.int().nonnegative()).min(2).max(64),
  dataType: z.string(),
  parameters: parametersSchema,
})
/** A tensor that carries the mark. Tensors of identical content are one: they get the same mark and count once. */
export type PlannedTensor = z.infer<typeof plannedTensorSchema>

export const planSchema = z.strictObject({
  version: z.literal(1),
  /** H0, hex: see `modelHash`. */
  modelHash: sha256Schema,
  /** In the order they stand in the model file. */
  tensors: z.array(plannedTensorSchema).min(1),
})
export type MarkPlan = z.infer<typeof planSchema>

/** Strength as a multiple of σ. */
export function strengthOf(units: number): number {
  return units * STRENGTH_UNIT
}

/** SHA-256 of params_t: what K_t depends on besides the master key and the content. */
export function parametersDigest(parameters: MarkParameters): Uint8Array {
  return createHash("sha256").update(writeParameters(parameters)).digest()
}

/** SHA-256 over the parameters of all tensors in the plan's order: what the commitment fixes. */
export function planDigest(plan: MarkPlan): Uint8Array {
  const hash = createHash("sha256")
  for (const { hash: tensorHash, parameters } of plan.tensors)
    hash.update(Buffer.from(tensorHash, "hex")).update(writeParameters(parameters))
  return hash.digest()
}

/**
 * H_t of a tensor of shape `dims` as it is fed its canonical values in stored order: float32, as little-endian bytes.
 */
export function tensorHasher(dims: readonly number[]): {
  update(values: Float32Array): void
  /** Lower-case hex. */
  finish(): string
} {
  const hash = createHash("sha256").update(dimsBytes(dims))
  return {
    update: (values) => {
      hash.update(littleEndian(values))
    },
    finish: () => toHex(hash.digest()),
  }
}

function writeParameters(parameters: MarkParameters): Uint8Array {
  const bytes = new Uint8Array(19)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, 1) // version
  view.setUint8(1, parameters.form === "float" ? 0 : 1)
  view.setUint8(2, parameters.rowAxis)
  view.setUint32(3, parameters.strength)
  view.setUint32(7, parameters.codeStrength)
  view.setUint32(11, parameters.subset)
  view.setUint32(15, parameters.decoys)
  return bytes
}

function dimsBytes(dims: readonly number[]): Uint8Array {
  const parts = [4, ...dims.map(() => 8)].map((size) => new Uint8Array(size))
  parts.forEach((part, index) => {
    const view = new DataView(part.buffer)
    if (index === 0) view.setUint32(0, dims.length)
    else view.setBigUint64(0, BigInt(dims[index - 1] ?? 0))
  })
  return concat(...parts)
}

const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

function littleEndian(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return IS_LITTLE_ENDIAN ? bytes : Buffer.from(bytes).swap32()
}
