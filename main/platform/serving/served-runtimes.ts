/** Starts processes that serve a model, and speaks to those that run. */
import { spawn } from "node:child_process"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { z } from "zod"
import { AppError, errorCodes } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import { servedSchema, type Served } from "../../contract/schema/serving.ts"
import type { ServingRequest } from "../../contract/serving-protocol.ts"
import { wipe } from "../../core/bytes/bytes.ts"
import type { ServedRuntimes } from "../../services/ports/serving.ts"
import { listServed, readRecord, readToken, removeServed } from "./served-folder.ts"
import { ServingConnection } from "./socket-client.ts"
import { isRunning } from "../running-process.ts"

/** What the serving process is told on its standard input. Paths go between processes of one user only. */
export const serveOrderSchema = z.strictObject({
  workspace: z.string(),
  file: z.string(),
  device: z.string(),
  trust: z.string().nullable(),
  level: z.enum(["R0", "R1", "R2"]).nullable(),
  clients: z.array(z.string()),
})
export type ServeOrder = z.infer<typeof serveOrderSchema>

/** The one line the process prints when it is ready, or not. */
const serveAnswerSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("ready"), served: servedSchema }),
  z.strictObject({ kind: z.literal("failed"), code: z.enum(errorCodes), message: z.string() }),
])
export type ServeAnswer = z.infer<typeof serveAnswerSchema>

/** Below the workspace. */
export const SERVED_FOLDER = "runtimes"
const MAX_ANSWER_BYTES = 1 << 20

export function servedRuntimes(workspace: string, pathOf: (file: FileRef) => string): ServedRuntimes {
  const root = path.join(workspace, SERVED_FOLDER)
  const ask = async (id: string, request: ServingRequest): Promise<Served> => {
    const record = await readRecord(root, id)
    if (record === null) throw new AppError("RUNTIME_NOT_FOUND", `there is no runtime ${id}`)
    const token = await readToken(root, id, null)
    try {
      const connection = await ServingConnection.open(record.socket, token)
      try {
        const { header } = await connection.ask(request)
        if (header.kind === "status") return header.status
        throw new AppError("RUNTIME_NOT_FOUND", "the runtime answered out of turn")
      } finally {
        connection.close()
      }
    } finally {
      wipe(token)
    }
  }
  return {
    async start(request, signal) {
      return startProcess(
        {
          workspace,
          file: pathOf(request.file),
          device: request.device,
          trust: request.trust === null ? null : pathOf(request.trust),
          level: request.level,
          clients: request.clients,
        },
        signal,
      )
    },
    async list() {
      const found: Served[] = []
      for (const id of await listServed(root)) {
        try {
          found.push(await ask(id, { kind: "status" }))
        } catch (error) {
          if (!(error instanceof AppError) || error.code !== "RUNTIME_NOT_FOUND") throw error
          // Its process was killed: what it left says nothing any more.
          if (!(await isAlive(root, id))) await removeServed(root, id)
        }
      }
      return found
    },
    async stop(id) {
      const record = await readRecord(root, id)
      const status = await ask(id, { kind: "stop" })
      if (record !== null) await processEnds(record.pid)
      return status
    },
    clear: async (id, client) => ask(id, { kind: "clear", client }),
  }
}

async function startProcess(order: ServeOrder, signal: AbortSignal): Promise<Served> {
  const child = spawn(process.execPath, [ENTRY], {
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
    windowsHide: true,
  })
  const stop = () => child.kill("SIGTERM")
  signal.addEventListener("abort", stop, { once: true })
  try {
    child.stdin.end(JSON.stringify(order))
    let text = ""
    for await (const part of child.stdout.setEncoding("utf8")) {
      text += String(part)
      if (text.endsWith("\n") || text.length > MAX_ANSWER_BYTES) break
    }
    signal.throwIfAborted()
    if (text === "") throw new AppError("RUNTIME_FAILED", "the serving process ended before it was ready")
    const answer = serveAnswerSchema.parse(JSON.parse(text))
    if (answer.kind === "failed") throw new AppError(answer.code, answer.message)
    return answer.served
  } finally {
    signal.removeEventListener("abort", stop)
    // From here on it lives without us.
    child.stdout.destroy()
    child.unref()
  }
}

async function isAlive(root: string, id: string): Promise<boolean> {
  const record = await readRecord(root, id)
  return record !== null && isRunning(record.pid)
}

const STOP_POLLS = 200
const STOP_POLL_MS = 25

async function processEnds(pid: number): Promise<void> {
  for (let poll = 0; poll < STOP_POLLS && isRunning(pid); poll += 1)
    await new Promise((resolve) => setTimeout(resolve, STOP_POLL_MS))
}

const ENTRY = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "../../host/serve-model.ts" : "../../host/serve-model.js",
    import.meta.url,
  ),
)
