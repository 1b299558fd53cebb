/** Rows used under each grant, one small file a grant. */
import { randomBytes } from "node:crypto"
import { mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../../contract/errors.ts"
import type { RunBudgets } from "../../services/ports/serving.ts"
import { isRunning } from "../running-process.ts"

/** Rows reserved at a time, as a share of what is used: a crash costs that many, and a disk write is paid once for them. */
const RESERVE_SHARE = 64
const MIN_RESERVE = 16

export function runBudgets(folder: string): RunBudgets {
  const reserved = new Map<string, number>()
  const fileOf = (grant: string) => path.join(folder, `${grant.replace("sha256:", "")}.rows`)
  const store = async (grant: string, rows: number) => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const partial = `${fileOf(grant)}.${randomBytes(6).toString("hex")}.partial`
    const handle = await open(partial, "wx", 0o600)
    try {
      await handle.writeFile(`${rows}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(partial, fileOf(grant))
    reserved.set(grant, rows)
  }
  return {
    async claim(grant) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await takeClaim(`${fileOf(grant)}.claim`)
      const text = await readFile(fileOf(grant), "latin1").catch((error: unknown) => {
        if (codeOf(error) === "ENOENT") return "0\n"
        throw error
      })
      // A damaged count must not become a fresh budget.
      if (!/^\d{1,15}\n$/.test(text))
        throw new AppError("WORKSPACE_UNUSABLE", "the record of rows used under this grant is damaged")
      reserved.set(grant, Number(text))
      return Number(text)
    },
    async spend(grant, rows) {
      if (rows <= (reserved.get(grant) ?? 0)) return
      await store(grant, rows + Math.max(MIN_RESERVE, Math.floor(rows / RESERVE_SHARE)))
    },
    async settle(grant, rows) {
      await store(grant, rows)
      await rm(`${fileOf(grant)}.claim`, { force: true })
    },
  }
}

/** Two runtimes counting on their own would each have the whole budget. A claim whose process is gone counts no more. */
async function takeClaim(file: string): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      await writeFile(file, `${process.pid}\n`, { flag: "wx", mode: 0o600 })
      return
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error
    }
    const holder = Number(await readFile(file, "latin1").catch(() => ""))
    if (holder !== process.pid && isRunning(holder)) break
    await rm(file, { force: true })
  }
  throw new AppError("RUNTIME_BUSY", "another runtime counts rows under this grant")
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : ""
}
