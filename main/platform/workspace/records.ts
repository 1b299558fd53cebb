/** Small files of a workspace, one record a file: written whole or not at all, readable by their owner alone. */
import { readFileSync } from "node:fs"
import { chmod, mkdir, open, readdir, readFile, rm } from "node:fs/promises"
import path from "node:path"
import { setImmediate } from "node:timers/promises"
import type { z } from "zod"
import { AppError, type ErrorCode } from "../../contract/errors.ts"
import { parseJson } from "../../core/bytes/json.ts"
import { codeOf, guardWorkspace, missingAsNull, replacePrivate } from "./private-files.ts"

/** Names are file names here, so they are as plain as file names can be. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export function checkName(name: string): void {
  if (!NAME.test(name)) throw new AppError("NAME_INVALID", `"${name.slice(0, 80)}" cannot be used as a name`)
}

/** Records of one kind in one folder. */
export class Records<T> {
  readonly #folder: string
  readonly #schema: z.ZodType<T>
  readonly #codes: { readonly missing: ErrorCode; readonly exists: ErrorCode }

  constructor(
    folder: string,
    schema: z.ZodType<T>,
    codes: { readonly missing: ErrorCode; readonly exists: ErrorCode },
  ) {
    this.#folder = folder
    this.#schema = schema
    this.#codes = codes
  }

  async add(name: string, record: T): Promise<void> {
    checkName(name)
    await writePrivate(this.#pathOf(name), JSON.stringify(record, null, 2), this.#exists(name))
  }

  /** Adds the record, or puts it in the place of the one there is. */
  async replace(name: string, record: T): Promise<void> {
    checkName(name)
    await replacePrivate(this.#pathOf(name), JSON.stringify(record, null, 2))
  }

  async find(name: string): Promise<T> {
    checkName(name)
    const bytes = await readIfThere(this.#pathOf(name))
    if (bytes === null) throw new AppError(this.#codes.missing, `${name} is not in this workspace`)
    return this.#parse(name, bytes)
  }

  async has(name: string): Promise<boolean> {
    checkName(name)
    return (await readIfThere(this.#pathOf(name))) !== null
  }

  /**
   * Sorted by name. Thousands of small files are read three times as fast without a promise each; after SLICE_MS and the
   * read it ends with, everything else has its turn.
   */
  async list(): Promise<readonly T[]> {
    const files = (await listFolder(this.#folder)).filter((file) => file.endsWith(SUFFIX)).sort()
    const records: T[] = []
    let since = performance.now()
    for (const file of files) {
      if (performance.now() - since > SLICE_MS) {
        await setImmediate()
        since = performance.now()
      }
      const name = file.slice(0, -SUFFIX.length)
      checkName(name)
      const bytes = await guardWorkspace(async () => readNow(this.#pathOf(name)))
      // One that went meanwhile is on no list.
      if (bytes !== null) records.push(this.#parse(name, bytes))
    }
    return records
  }

  async remove(name: string): Promise<void> {
    await this.find(name)
    await removeFile(this.#pathOf(name))
  }

  #pathOf(name: string): string {
    return path.join(this.#folder, `${name}${SUFFIX}`)
  }

  #exists(name: string): AppError {
    return new AppError(this.#codes.exists, `${name} exists already in this workspace`)
  }

  #parse(name: string, bytes: Uint8Array): T {
    const parsed = this.#schema.safeParse(parseJson(bytes, `the record of ${name}`))
    if (!parsed.success) throw new AppError("WORKSPACE_UNUSABLE", `the record of ${name} is damaged`)
    return parsed.data
  }
}

const SUFFIX = ".json"
const SLICE_MS = 8

function readNow(filePath: string): Uint8Array | null {
  try {
    return readFileSync(filePath)
  } catch (error) {
    return missingAsNull(error)
  }
}

/** Writes a new file for its owner alone; `exists` is thrown when the name is taken. */
export async function writePrivate(filePath: string, text: string, exists: AppError): Promise<void> {
  const folder = path.dirname(filePath)
  await guardWorkspace(async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await chmod(folder, 0o700)
  })
  // Taking the name first makes two writers of one name meet here and not later.
  const claim = await guardWorkspace(async () =>
    open(filePath, "wx", 0o600).catch((error: unknown) => takenAsNull(error)),
  )
  if (claim === null) throw exists
  await claim.close()
  try {
    await replacePrivate(filePath, text)
  } catch (error) {
    await rm(filePath, { force: true })
    throw error
  }
}

export async function readIfThere(filePath: string): Promise<Uint8Array | null> {
  return guardWorkspace(async () => readFile(filePath).catch((error: unknown) => missingAsNull(error)))
}

export async function listFolder(folder: string): Promise<readonly string[]> {
  return guardWorkspace(async () => readdir(folder).catch((error: unknown) => missingAsNull(error))).then(
    (names) => names ?? [],
  )
}

export async function removeFile(filePath: string): Promise<void> {
  await guardWorkspace(async () => rm(filePath))
}

function takenAsNull(error: unknown): null {
  if (codeOf(error) === "EEXIST") return null
  throw error
}
