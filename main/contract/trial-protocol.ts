/**
 * What the engine and a trial process say to each other while the strength of a mark is found (framing:
 * core/bytes/frames.ts). Weights and tensors travel as the body of a frame.
 */
import { z } from "zod"
import { errorCodes } from "./errors.ts"

const tensorSchema = z.strictObject({
  name: z.string(),
  /** numpy's name of the element type. */
  type: z.string(),
  shape: z.array(z.int().nonnegative()).max(16),
  /** Length in the body, bytes; tensors lie one after another. */
  bytes: z.int().nonnegative(),
})

const valueInfoSchema = z.strictObject({
  name: z.string(),
  type: z.string(),
  shape: z.array(z.union([z.number(), z.string(), z.null()])),
})

export const trialRequestSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("load"),
    /** The model first, then its external data; descriptors are inherited. */
    files: z.array(z.strictObject({ name: z.string(), file: z.int(), bytes: z.int().nonnegative() })).min(1),
  }),
  /** Keeps one batch of inputs under the next number. */
  z.strictObject({ kind: z.literal("batch"), inputs: z.array(tensorSchema) }),
  /**
   * Runs the batches numbered here through the model with these stretches of its files replaced (the body holds them one
   * after another), then puts the model back as it was.
   */
  z.strictObject({
    kind: z.literal("trial"),
    patches: z.array(
      z.strictObject({
        file: z.int().nonnegative(),
        offset: z.int().nonnegative(),
        bytes: z.int().nonnegative(),
      }),
    ),
    batches: z.array(z.int().nonnegative()),
  }),
])
export type TrialRequest = z.infer<typeof trialRequestSchema>

export const trialReplySchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("loaded"), inputs: z.array(valueInfoSchema) }),
  z.strictObject({ kind: z.literal("kept") }),
  /** Outputs of each batch in turn. */
  z.strictObject({ kind: z.literal("tried"), batches: z.array(z.array(tensorSchema)) }),
  z.strictObject({ kind: z.literal("failed"), code: z.enum(errorCodes), message: z.string() }),
])
export type TrialReply = z.infer<typeof trialReplySchema>
