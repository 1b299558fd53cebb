/** What a window asks of the process that hosts it: files in and out, and how the engine is. The types follow from the schemas. */
import { z } from "zod"
import { fileRefSchema } from "./base.ts"

/** Plain file names, or relative ones with `/` inside one upload. Whether a name is safe is for the host to say. */
const fileNameSchema = z.string().min(1).max(255)

export const aboutHostSchema = z.strictObject({
  /** A `desktop` host opens and shows files itself; a `browser` one hands them over by download. */
  kind: z.enum(["browser", "desktop"]),
})
export type AboutHost = z.infer<typeof aboutHostSchema>

export const engineStateSchema = z.strictObject({
  state: z.enum(["starting", "running", "restarting", "stopped"]),
  /** Times the engine ended without being asked to since the host began. */
  restarts: z.number(),
})
export type EngineState = z.infer<typeof engineStateSchema>

/** Files that belong together (a model and its external data) go in one upload. */
export const uploadSchema = z.strictObject({
  files: z
    .array(z.strictObject({ name: z.string().min(1).max(1024), bytes: z.int().nonnegative() }))
    .min(1)
    .max(256),
})
/** `PUT /transfer/<ticket>` takes the file's bytes, once, and answers with its reference. */
export const uploadTicketsSchema = z.array(z.string())

export const newOutputSchema = z.strictObject({
  name: fileNameSchema,
  /** A package goes where packages are kept; a report is a folder of its own; an exchange file is for carrying to somebody. */
  kind: z.enum(["package", "report", "exchange"]),
  /** The file it is made from: a desktop host puts the result beside it. */
  from: fileRefSchema.nullable(),
})
export const newOutputResultSchema = z.strictObject({ file: fileRefSchema, name: z.string() })

export const fetchSchema = z.strictObject({
  file: fileRefSchema,
  /** The name of a file inside, where the reference is a folder. */
  inside: fileNameSchema.nullable(),
  /** `view` for a page to look at, `save` to keep the file, `reveal` to see it in its folder. */
  how: z.enum(["view", "save", "reveal"]),
})
/** Where to fetch it from, once; null when the host did everything itself. */
export const fetchResultSchema = z.strictObject({ path: z.string().nullable() })
