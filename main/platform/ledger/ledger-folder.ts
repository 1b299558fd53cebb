/**
 * The ledger as a folder: `ledger.json` (public), `master.age`, `segments/000001.age` and so on, and the owner's identity when
 * it is a software key. A file is complete before it has its name, names are never used twice, and nothing is ever changed.
 */
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { link, mkdir, open, readdir, readFile, rename, rm, unlink } from "node:fs/promises"
import path from "node:path"
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseIdentity } from "../../core/age/recipients.ts"
import { readUtf8, toUtf8 } from "../../core/bytes/bytes.ts"
import { parseJson } from "../../core/bytes/json.ts"
import type { LedgerFiles, LedgerStore } from "../../services/ports/ledger.ts"

const HEADER = "ledger.json"
const MASTER = "master.age"
const OWNER = "owner.txt"
const SEGMENTS = "segments"

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

/** `folder`: the workspace's `ledger`. */
export function ledgerFolder(folder: string): LedgerStore {
  const segmentsFolder = path.join(folder, SEGMENTS)
  return {
    async read() {
      const headerBytes = await readIfThere(path.join(folder, HEADER))
      if (headerBytes === null) return null
      const header = headerSchema.safeParse(parseJson(headerBytes, HEADER))
      if (!header.success) throw damaged(`${HEADER} is not of a form this version knows`)
      const master = await readIfThere(path.join(folder, MASTER))
      if (master === null) throw damaged(`${MASTER} is missing`)
      const { version: _, ...rest } = header.data
      return { header: rest, master, segments: await readSegments(segmentsFolder) }
    },

    async create(files, ownerIdentity) {
      // Everything is put together under another name; the rename is what makes it a ledger.
      const partial = `${folder}.${randomBytes(6).toString("hex")}.partial`
      await guard(async () => {
        await mkdir(path.dirname(folder), { recursive: true, mode: 0o700 })
        await mkdir(path.join(partial, SEGMENTS), { recursive: true, mode: 0o700 })
      })
      try {
        await guard(async () => {
          const header = `${JSON.stringify({ version: 1, ...files.header }, null, 2)}\n`
          if (ownerIdentity !== null) await writeNew(path.join(partial, OWNER), toUtf8(`${ownerIdentity}\n`))
          await writeNew(path.join(partial, MASTER), files.master)
          for (const [index, segment] of files.segments.entries())
            await writeNew(path.join(partial, SEGMENTS, segmentName(index + 1)), segment)
          await writeNew(path.join(partial, HEADER), toUtf8(header))
          await syncFolder(path.join(partial, SEGMENTS))
          await syncFolder(partial)
          if ((await readIfThere(path.join(folder, HEADER))) !== null) throw exists()
          await rename(partial, folder)
          await syncFolder(path.dirname(folder))
        })
      } catch (error) {
        await rm(partial, { recursive: true, force: true })
        if (["ENOTEMPTY", "EEXIST"].includes(codeOf(error))) throw exists()
        throw error
      }
    },

    async append(number, segment) {
      const target = path.join(segmentsFolder, segmentName(number))
      const partial = `${target}.${randomBytes(6).toString("hex")}.partial`
      await guard(async () => {
        try {
          await writeNew(partial, segment)
          // A link cannot replace a segment somebody else wrote meanwhile; a rename could.
          await link(partial, target)
        } catch (error) {
          if (codeOf(error) === "EEXIST")
            throw new AppError("LEDGER_BUSY", `segment ${number} was written by somebody else meanwhile`)
          throw error
        } finally {
          await unlink(partial).catch(() => {})
        }
        await syncFolder(segmentsFolder)
      })
    },

    async ownerIdentity() {
      const bytes = await readIfThere(path.join(folder, OWNER))
      const line = (bytes === null ? null : readUtf8(bytes))
        ?.split(/\r?\n/)
        .find((text) => text !== "" && !text.startsWith("#"))
      if (line === undefined)
        throw new AppError("KEY_UNREADABLE", "the owner's identity is not beside the ledger")
      return parseIdentity(line)
    },
  }
}

async function readSegments(folder: string): Promise<LedgerFiles["segments"]> {
  // What a killed process left unfinished has another name and is passed over.
  const names = (await guard(async () => readdir(folder))).filter((name) => SEGMENT_NAME.test(name)).sort()
  const segments: Uint8Array[] = []
  for (const name of names) {
    if (name !== segmentName(segments.length + 1)) throw damaged(`segment ${segments.length + 1} is missing`)
    segments.push(await guard(async () => readFile(path.join(folder, name))))
  }
  return segments
}

const SEGMENT_NAME = /^\d{6}\.age$/

function segmentName(number: number): string {
  return `${String(number).padStart(6, "0")}.age`
}

async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, "wx", 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function readIfThere(file: string): Promise<Uint8Array | null> {
  return guard(async () => {
    try {
      return await readFile(file)
    } catch (error) {
      if (codeOf(error) === "ENOENT") return null
      throw error
    }
  })
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return
  const handle = await open(folder, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function guard<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    const code = codeOf(error)
    if (code === "ENOSPC" || code === "EDQUOT")
      throw new AppError("NO_SPACE", "the volume of the ledger is full", { cause: error })
    if (code.startsWith("E") && !["ENOTEMPTY", "EEXIST"].includes(code))
      throw new AppError("WORKSPACE_UNUSABLE", `the ledger cannot be used (${code})`, { cause: error })
    throw error
  }
}

function exists(): AppError {
  return new AppError("LEDGER_EXISTS", "this workspace has a ledger already")
}

function damaged(reason: string): AppError {
  return new AppError("LEDGER_DAMAGED", `the ledger is not complete: ${reason}`)
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && !(error instanceof AppError) ? String(error.code) : ""
}
