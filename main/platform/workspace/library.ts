import { createHash } from "node:crypto"
import { stat } from "node:fs/promises"
import path from "node:path"
import { z } from "zod"
import { fileRefSchema, type FileRef } from "../../contract/schema/base.ts"
import { packageFactsSchema, type PackageEntry } from "../../contract/schema/library.ts"
import type { Files } from "../../services/ports.ts"
import type { PackageLibrary } from "../../services/ports/library.ts"
import { Records } from "./records.ts"

const recordSchema = packageFactsSchema.extend({ path: z.string() })
type Record = z.infer<typeof recordSchema>

/** One record a package in `folder`, named by its path's digest: the same path is the same entry, and keeps its reference. */
export function packageLibrary(folder: string, files: Files): PackageLibrary {
  const records = new Records<Record>(folder, recordSchema, {
    missing: "FILE_NOT_FOUND",
    exists: "WORKSPACE_UNUSABLE",
  })
  const toEntry = async (record: Record): Promise<PackageEntry> => {
    const { path: filePath, ...facts } = record
    const bytes = await stat(filePath).then(
      (stats) => (stats.isFile() ? stats.size : null),
      () => null,
    )
    return { ...facts, file: files.refer(filePath, nameOf(filePath)), name: path.basename(filePath), bytes }
  }
  return {
    async remember(file, facts) {
      const filePath = files.pathOf(file)
      const record = { ...facts, path: filePath }
      const name = nameOf(filePath)
      const known = (await records.has(name)) ? await records.find(name) : null
      // What was learnt when the package was made says more than that somebody opened it.
      if (known?.origin === "made" && facts.origin === "opened") return toEntry(known)
      if (known !== null) await records.remove(name)
      await records.add(name, record)
      return toEntry(record)
    },
    list: async () => Promise.all((await records.list()).map(toEntry)),
    async forget(file) {
      const name = nameOf(files.pathOf(file))
      const entry = await toEntry(await records.find(name))
      await records.remove(name)
      return entry
    },
  }
}

function nameOf(filePath: string): FileRef {
  return fileRefSchema.parse(createHash("sha256").update(filePath).digest("hex").slice(0, 32))
}
