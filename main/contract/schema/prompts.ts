/** Questions of the engine to a person: a passphrase, a PIN. The types follow from the schemas. */
import { z } from "zod"

const questionSchema = z.strictObject({
  id: z.string().min(1).max(64),
  /** `passphrase` of a key file, `password` of an account, `pin` of a token, `auth` of a key in a TPM. */
  kind: z.enum(["passphrase", "password", "pin", "auth"]),
  /** What it unlocks, for people. */
  subject: z.string(),
  /** What they should know before they answer, such as tries left. */
  notice: z.string().nullable(),
  /** Whether it is being chosen now: a window then asks for it twice. */
  isNew: z.boolean(),
})
export type WaitingQuestion = z.infer<typeof questionSchema>

/** All that wait for an answer, oldest first. */
export const questionsSchema = z.array(questionSchema)

/** Bytes of an answer, UTF-8. As a Blob they travel beside the message, never in its JSON. */
const MAX_ANSWER_BYTES = 1024
export const answerSchema = z.strictObject({
  id: questionSchema.shape.id,
  /** null: the person does not answer, which ends what asked with CANCELLED. */
  answer: z
    .instanceof(Blob)
    .refine(({ size }) => size > 0 && size <= MAX_ANSWER_BYTES)
    .nullable(),
})
