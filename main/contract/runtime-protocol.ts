/**
 * What the engine and a sealed runtime say to each other over their private socket (framing: core/bytes/frames.ts). Keys
 * and tensors travel as the body of a frame, never in its header.
 */
import { z } from "zod"
import { errorCodes } from "./errors.ts"

export const tensorSchema = z.strictObject({
  name: z.string(),
  /** numpy's name of the element type. */
  type: z.string(),
  shape: z.array(z.int().nonnegative()).max(16),
  /** Length in the body, bytes; tensors lie one after another. */
  bytes: z.int().nonnegative(),
})
export type TensorHeader = z.infer<typeof tensorSchema>

const valueInfoSchema = z.strictObject({
  name: z.string(),
  type: z.string(),
  shape: z.array(z.union([z.number(), z.string(), z.null()])),
})

export const runtimeRequestSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("load-sealed"),
    /** Descriptor of the .seal file, inherited. The body holds the payload key (32 bytes), the model signature, the overlay. */
    file: z.int(),
    /** Length of the model signature in the body, bytes; 0 when it travels inside the payload. */
    signatureBytes: z.int().nonnegative(),
    /** Length of the overlay in the body, bytes; 0 when there is none. */
    overlayBytes: z.int().nonnegative(),
    chunksOffset: z.int().nonnegative(),
    chunksBytes: z.int().positive(),
    trustedPems: z.array(z.string()),
    /** Root digest of the plaintext's file list, hex. */
    modelRoot: z.string(),
  }),
  z.strictObject({
    kind: z.literal("load-plain"),
    /** The model first, then its external data. */
    files: z.array(z.strictObject({ name: z.string(), file: z.int(), bytes: z.int().nonnegative() })).min(1),
  }),
  z.strictObject({ kind: z.literal("infer"), inputs: z.array(tensorSchema) }),
  z.strictObject({ kind: z.literal("memory") }),
  /** Ends the session; every byte that held weights is zero when the answer comes (levels R1 and R2). */
  z.strictObject({ kind: z.literal("unload") }),
])
export type RuntimeRequest = z.infer<typeof runtimeRequestSchema>

export const runtimeReplySchema = z.discriminatedUnion("kind", [
  /** Unasked, once, before anything else: what the process did to itself. */
  z.strictObject({
    kind: z.literal("ready"),
    steps: z.array(z.strictObject({ step: z.string(), isHeld: z.boolean(), detail: z.string() })),
  }),
  z.strictObject({
    kind: z.literal("loaded"),
    inputs: z.array(valueInfoSchema),
    outputs: z.array(valueInfoSchema),
    loadMs: z.strictObject({ decrypt: z.number(), verify: z.number(), session: z.number() }),
  }),
  z.strictObject({ kind: z.literal("inferred"), outputs: z.array(tensorSchema), sessionMs: z.number() }),
  z.strictObject({
    kind: z.literal("memory"),
    peakBytes: z.number(),
    /** Figures of the preloaded heap, bytes; null without one. */
    heap: z
      .strictObject({
        isSecret: z.boolean(),
        /** In use now, and the most that ever was. */
        live: z.number(),
        peak: z.number(),
        /** High-water mark of addresses: pages the kernel had to find. */
        used: z.number(),
      })
      .nullable(),
  }),
  z.strictObject({ kind: z.literal("unloaded"), ms: z.number() }),
  z.strictObject({ kind: z.literal("failed"), code: z.enum(errorCodes), message: z.string() }),
])
export type RuntimeReply = z.infer<typeof runtimeReplySchema>
