/** The queue of pushes as one small file: replaced as a whole, by one process at a time. */
import { randomBytes } from "node:crypto"
import { mkdir, readFile } from "node:fs/promises"
import path from "node:path"
import { z } from "zod"
import { AppError, errorCodes } from "../../contract/errors.ts"
import type { PushRequest, QueuedPush } from "../../contract/schema/registry.ts"
import { parseJson } from "../../core/bytes/json.ts"
import type { Files } from "../../services/ports.ts"
import type { PushQueue } from "../../services/ports/registry.ts"
import { codeOf } from "../files.ts"
import { withFolderLock } from "./folder-lock.ts"
import { replacePrivateFile } from "./private-file.ts"

const placeSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("remote"),
    repository: z.string(),
    plainHttp: z.boolean(),
    authority: z.string().nullable(),
  }),
  z.strictObject({ kind: z.literal("folder"), folder: z.string() }),
])
const entrySchema = z.strictObject({
  id: z.string(),
  path: z.string(),
  to: placeSchema,
  tag: z.string(),
  addedAt: z.string(),
  attempts: z.int(),
  lastFailure: z.enum(errorCodes).nullable(),
  state: z.enum(["waiting", "stopped"]),
})
const queueSchema = z.array(entrySchema)
type Entry = z.infer<typeof entrySchema>

const SECRET_BYTES = 32

/** `folder` is made when it is first written to. */
export function pushQueue(folder: string, files: Files, now: () => Date): PushQueue {
  const [queueFile, secretFile] = [path.join(folder, "queue.json"), path.join(folder, "secret")]
  const read = async (): Promise<readonly Entry[]> => {
    const bytes = await readIfThere(queueFile)
    if (bytes === null) return []
    const parsed = queueSchema.safeParse(parseJson(bytes, "the queue of pushes"))
    if (!parsed.success) throw new AppError("WORKSPACE_UNUSABLE", "the queue of pushes is damaged")
    return parsed.data
  }
  const locked = async <T>(work: () => Promise<T>): Promise<T> => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return withFolderLock(path.join(folder, "lock"), new AbortController().signal, work)
  }
  const change = async (work: (entries: readonly Entry[]) => readonly Entry[]): Promise<void> =>
    locked(async () => replacePrivateFile(queueFile, JSON.stringify(work(await read()), null, 2)))
  return {
    async secret() {
      const known = await readIfThere(secretFile)
      if (known !== null) return parseSecret(known)
      return locked(async () => {
        const meanwhile = await readIfThere(secretFile)
        if (meanwhile !== null) return parseSecret(meanwhile)
        const secret = randomBytes(SECRET_BYTES)
        await replacePrivateFile(secretFile, secret.toString("hex"))
        return secret
      })
    },
    async add({ file, to, tag }) {
      const entry: Entry = {
        id: randomBytes(6).toString("hex"),
        path: files.pathOf(file),
        to:
          to.kind === "folder"
            ? { kind: "folder", folder: files.pathOf(to.folder) }
            : { ...to, authority: to.authority === null ? null : files.pathOf(to.authority) },
        tag,
        addedAt: now().toISOString(),
        attempts: 0,
        lastFailure: null,
        state: "waiting",
      }
      await change((entries) => [...entries, entry])
      return describe(entry)
    },
    list: async () => (await read()).map(describe),
    async request(id) {
      const entry = (await read()).find((each) => each.id === id)
      return entry === undefined ? null : toRequest(entry, files)
    },
    async failed(id, lastFailure, isFinal) {
      await change((entries) =>
        entries.map((entry) =>
          entry.id === id
            ? { ...entry, attempts: entry.attempts + 1, lastFailure, state: isFinal ? "stopped" : "waiting" }
            : entry,
        ),
      )
    },
    async remove(id) {
      const found = (await read()).find((entry) => entry.id === id)
      if (found === undefined)
        throw new AppError("REGISTRY_NOT_FOUND", `no push ${id.slice(0, 40)} is waiting`)
      await change((entries) => entries.filter((entry) => entry.id !== id))
      return describe(found)
    },
  }
}

function toRequest({ path: file, to, tag }: Entry, files: Files): PushRequest {
  return {
    file: files.refer(file),
    to:
      to.kind === "folder"
        ? { kind: "folder", folder: files.refer(to.folder) }
        : { ...to, authority: to.authority === null ? null : files.refer(to.authority) },
    tag,
  }
}

function describe({ path: file, to, ...entry }: Entry): QueuedPush {
  return {
    ...entry,
    name: path.basename(file),
    repository: to.kind === "folder" ? `oci:${path.basename(to.folder)}` : to.repository,
  }
}

function parseSecret(bytes: Uint8Array): Uint8Array {
  const secret = Buffer.from(Buffer.from(bytes).toString("latin1"), "hex")
  if (secret.length !== SECRET_BYTES)
    throw new AppError("WORKSPACE_UNUSABLE", "the secret of grants' tags is damaged")
  return secret
}

async function readIfThere(file: string): Promise<Uint8Array | null> {
  try {
    return await readFile(file)
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null
    throw new AppError("WORKSPACE_UNUSABLE", `the workspace cannot be used (${codeOf(error)})`, {
      cause: error,
    })
  }
}
