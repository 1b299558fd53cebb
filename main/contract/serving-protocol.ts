/**
 * What a client of a served runtime says over its Unix socket, as frames (core/bytes/frames.ts): a JSON header and raw
 * bytes. The first frame is `hello` with a token as its body; everything else before it is refused.
 */
import { z } from "zod"
import { errorCodes } from "./errors.ts"
import { tensorSchema } from "./runtime-protocol.ts"
import { servedSchema } from "./schema/serving.ts"

/** Length of a token, bytes. */
export const TOKEN_BYTES = 32

export const servingRequestSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("hello") }),
  z.strictObject({ kind: z.literal("infer"), inputs: z.array(tensorSchema).max(64) }),
  // The rest only for who holds the control token.
  z.strictObject({ kind: z.literal("status") }),
  z.strictObject({ kind: z.literal("clear"), client: z.string() }),
  z.strictObject({ kind: z.literal("stop") }),
])
export type ServingRequest = z.infer<typeof servingRequestSchema>

export const servingReplySchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("welcome"),
    client: z.string(),
    inputs: servedSchema.shape.inputs,
    outputs: servedSchema.shape.outputs,
  }),
  z.strictObject({ kind: z.literal("inferred"), outputs: z.array(tensorSchema) }),
  z.strictObject({ kind: z.literal("status"), status: servedSchema }),
  z.strictObject({ kind: z.literal("done") }),
  z.strictObject({ kind: z.literal("failed"), code: z.enum(errorCodes), message: z.string() }),
])
export type ServingReply = z.infer<typeof servingReplySchema>
