/** The owner's ledger. What it holds never crosses a process; these are facts about it. The types follow from the schemas. */
import { z } from "zod"
import { fileRefSchema, nameSchema, outputSchema } from "./base.ts"

export const initLedgerSchema = z.strictObject({
  /** A device key of this workspace that opens the ledger (hardware included); null makes a software key beside it. */
  ownerKey: nameSchema.nullable(),
  /** Further recipients that can open every part of it, such as one kept offline. */
  recipients: z.array(z.string()).max(16),
})

export const exportLedgerSchema = z.strictObject({ output: outputSchema })

export const importLedgerSchema = z.strictObject({
  file: fileRefSchema,
  /** An age identity file that opens it, kept as the owner's from then on; null uses the owner key the ledger names. */
  identity: fileRefSchema.nullable(),
})

export const ledgerSchema = z.strictObject({
  id: z.string(),
  createdAt: z.string(),
  /** `file`: a software key beside the ledger. */
  owner: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("file") }),
    z.strictObject({ kind: z.literal("key"), name: z.string() }),
  ]),
  recipients: z.array(z.string()),
  segments: z.number(),
  devices: z.array(z.strictObject({ name: z.string(), number: z.number() })),
  models: z.array(
    z.strictObject({
      name: z.string(),
      /** H0, hex. */
      modelHash: z.string(),
      commitment: z.string(),
      tensors: z.number(),
      copies: z.number(),
      plannedAt: z.string(),
    }),
  ),
  copies: z.number(),
  /** When it was last exported; null when it never was. */
  exportedAt: z.string().nullable(),
})
export type Ledger = z.infer<typeof ledgerSchema>

export const exportedLedgerSchema = z.strictObject({
  name: z.string(),
  bytes: z.number(),
  segments: z.number(),
  /** What else must be kept, apart from the export, for it to be of use. */
  alsoNeeded: z.string(),
})
export type ExportedLedger = z.infer<typeof exportedLedgerSchema>
