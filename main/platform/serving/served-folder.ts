/** Where a served runtime keeps its socket and tokens: one folder each below the workspace, for its owner alone. */
import { randomBytes } from "node:crypto"
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import os from "node:os"
import path from "node:path"
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { TOKEN_BYTES } from "../../contract/serving-protocol.ts"

export interface ServedFolder {
  readonly id: string
  readonly folder: string
  /** The Unix socket; outside of the folder when its path would be too long for one. */
  readonly socket: string
  /** One `<client>.token` file each: 64 hex digits. */
  readonly tokens: string
}

const RECORD = "record.json"
const CONTROL = "control.token"
/** sun_path holds 108 bytes with its end mark. */
const MAX_SOCKET_PATH = 104

const recordSchema = z.strictObject({ pid: z.int().positive(), socket: z.string() })

export async function makeServedFolder(root: string): Promise<ServedFolder> {
  const id = randomBytes(4).toString("hex")
  const folder = path.join(root, id)
  const tokens = path.join(folder, "clients")
  await mkdir(tokens, { recursive: true, mode: 0o700 })
  const inside = path.join(folder, "socket")
  const socket =
    Buffer.byteLength(inside) <= MAX_SOCKET_PATH
      ? inside
      : path.join(await mkdtemp(path.join(os.tmpdir(), "sealwright-")), "socket")
  await writeFile(path.join(folder, RECORD), JSON.stringify({ pid: process.pid, socket }), { mode: 0o600 })
  return { id, folder, socket, tokens }
}

/** A fresh token in a file of the folder; the caller wipes it. */
export async function writeToken(
  { folder, tokens }: ServedFolder,
  client: string | null,
): Promise<Uint8Array> {
  const token = randomBytes(TOKEN_BYTES)
  const file = client === null ? path.join(folder, CONTROL) : path.join(tokens, `${client}.token`)
  await writeFile(file, `${token.toString("hex")}\n`, { mode: 0o600, flag: "wx" })
  return token
}

/** Throws RUNTIME_NOT_FOUND, CLIENT_UNKNOWN. The caller wipes the token. */
export async function readToken(root: string, id: string, client: string | null): Promise<Uint8Array> {
  const folder = path.join(root, id)
  const file = client === null ? path.join(folder, CONTROL) : path.join(folder, "clients", `${client}.token`)
  const text = await readFile(file, "latin1").catch(() => "")
  const token = Buffer.from(text.trim(), "hex")
  if (token.length === TOKEN_BYTES) return token
  throw client === null
    ? new AppError("RUNTIME_NOT_FOUND", `there is no runtime ${id}`)
    : new AppError("CLIENT_UNKNOWN", `the runtime ${id} has no client ${client}`)
}

export async function readRecord(
  root: string,
  id: string,
): Promise<{ readonly pid: number; readonly socket: string } | null> {
  const text = await readFile(path.join(root, id, RECORD), "utf8").catch(() => null)
  if (text === null) return null
  const parsed = recordSchema.safeParse(JSON.parse(text))
  return parsed.success ? parsed.data : null
}

export async function listServed(root: string): Promise<readonly string[]> {
  const names = await readdir(root).catch(() => [])
  return names.filter((name) => /^[0-9a-f]{8}$/.test(name)).sort()
}

export async function removeServed(root: string, id: string): Promise<void> {
  const record = await readRecord(root, id)
  if (record !== null && !record.socket.startsWith(path.join(root, id)))
    await rm(path.dirname(record.socket), { recursive: true, force: true })
  await rm(path.join(root, id), { recursive: true, force: true })
}
