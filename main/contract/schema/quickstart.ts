/** The whole job in one call. The types follow from the schemas. */
import { z } from "zod"
import { jobEventSchema, outputSchema } from "./base.ts"
import { protectedSchema } from "./protect.ts"
import { verdictSchema } from "./verify.ts"
import { ranSchema } from "./run.ts"
import { validationSchema } from "./validate.ts"

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
