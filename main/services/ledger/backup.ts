/** A ledger as one file: a tar of what its folder holds, without the owner's key (docs/FORMAT.md, Ledger). */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import { concat, toUtf8 } from "../../core/bytes/bytes.ts"
import { parseJson } from "../../core/bytes/json.ts"
import { readTar, TAR_END, tarHeader, tarPadding } from "../../core/oci/tar.ts"
import type { Files } from "../ports.ts"
import type { LedgerFiles } from "../ports/ledger.ts"

const HEADER = "ledger.json"
const MASTER = "master.age"
/** A ledger of a hundred thousand copies is some megabytes. */
const MAX_BACKUP_BYTES = 1 << 30

const headerSchema = z.strictObject({
  version: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{32}$/),
  owner: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("file") }),
    z.strictObject({ kind: z.literal("key"), name: z.string() }),
  ]),
  recipients: z.array(z.string()).min(1),
  createdAt: z.iso.datetime(),
})

export function writeBackup({ header, master, segments }: LedgerFiles): Uint8Array {
  const entries: readonly (readonly [string, Uint8Array])[] = [
    [HEADER, toUtf8(`${JSON.stringify({ version: 1, ...header }, null, 2)}\n`)],
    [MASTER, master],
    ...segments.map((segment, index) => [segmentName(index + 1), segment] as const),
  ]
  return concat(
    ...entries.flatMap(([name, bytes]) => [tarHeader(name, bytes.length), bytes, tarPadding(bytes.length)]),
    TAR_END,
  )
}

/** Throws LEDGER_DAMAGED for a file that is no backup or lacks a part. That its parts open is for the caller to check. */
export async function readBackup(files: Files, ref: FileRef): Promise<LedgerFiles> {
  const file = await files.open(ref)
  try {
    if (file.size > MAX_BACKUP_BYTES) throw damaged("it is larger than any ledger")
    const parts = new Map<string, Uint8Array>()
    for (const { name, offset, size } of await entriesOf(file))
      parts.set(name, Uint8Array.from(await file.read(offset, size)))
    const head = parts.get(HEADER)
    const master = parts.get(MASTER)
    if (head === undefined || master === undefined) throw damaged("it lacks a part")
    const header = headerSchema.safeParse(parseJson(head, HEADER))
    if (!header.success) throw damaged(`${HEADER} is not of a form this version knows`)
    const segments: Uint8Array[] = []
    for (let number = 1; number <= parts.size - 2; number += 1) {
      const segment = parts.get(segmentName(number))
      if (segment === undefined) throw damaged(`segment ${number} is missing`)
      segments.push(segment)
    }
    const { version: _, ...rest } = header.data
    return { header: rest, master, segments }
  } finally {
    await file.close()
  }
}

async function entriesOf(file: Parameters<typeof readTar>[0]) {
  try {
    return await readTar(file)
  } catch (error) {
    throw damaged(error instanceof AppError ? error.message : "it is no archive")
  }
}

function segmentName(number: number): string {
  return `segments/${String(number).padStart(6, "0")}.age`
}

function damaged(reason: string): AppError {
  return new AppError("LEDGER_DAMAGED", `this is no complete backup of a ledger: ${reason}`)
}
