/**
 * The process behind a served runtime: loads one package into a sealed runtime and answers local clients through the
 * grant's firewall until it is told to stop. Its order comes on standard input, its one answer goes to standard output.
 */
import path from "node:path"
import { toAppError } from "../contract/errors.ts"
import type { Served } from "../contract/schema/serving.ts"
import { localPorts } from "../platform/ports.ts"
import { makeServedFolder, removeServed, writeToken } from "../platform/serving/served-folder.ts"
import {
  serveOrderSchema,
  SERVED_FOLDER,
  type ServeAnswer,
  type ServeOrder,
} from "../platform/serving/served-runtimes.ts"
import { serveSocket } from "../platform/serving/socket-server.ts"
import type { RuntimeMemory } from "../services/ports.ts"
import { openGuardedModel } from "../services/serving/guarded-model.ts"

const abort = new AbortController()
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => abort.abort())

try {
  await serve(serveOrderSchema.parse(JSON.parse(await readStandardInput())))
} catch (error) {
  const { code, message } = toAppError(error)
  answer({ kind: "failed", code, message })
  process.exitCode = 1
}

async function serve(order: ServeOrder): Promise<void> {
  const { ports, close } = localPorts(order.workspace)
  const root = path.join(order.workspace, SERVED_FOLDER)
  try {
    const request = {
      file: ports.files.refer(order.file),
      device: order.device,
      trust: order.trust === null ? null : ports.files.refer(order.trust),
    }
    const model = await openGuardedModel(ports, request, order.level, abort.signal)
    try {
      const place = await makeServedFolder(root)
      try {
        const control = await writeToken(place, null)
        for (const client of order.clients) {
          const token = await writeToken(place, client)
          model.firewall.admit(client, token)
          token.fill(0)
        }
        const startedAt = ports.now().toISOString()
        const status = async (): Promise<Served> => ({
          id: place.id,
          pid: process.pid,
          package: path.basename(order.file),
          packageDigest: model.packageDigest,
          device: order.device,
          level: model.runtime.level,
          socket: place.socket,
          tokens: place.tokens,
          startedAt,
          inputs: model.runtime.model.inputs.map((input) => ({ ...input, shape: [...input.shape] })),
          outputs: model.runtime.model.outputs.map((output) => ({ ...output, shape: [...output.shape] })),
          policy: { ...model.policy },
          rowsUsed: model.firewall.status().rowsUsed,
          clients: [...model.firewall.status().clients],
          ...memoryOf(await model.runtime.memory()),
        })
        const server = await serveSocket(place.socket, control, {
          identify: (token) => model.firewall.identify(token),
          infer: async (client, inputs, signal) => model.infer(client, inputs, signal),
          clear: (client) => model.firewall.clear(client),
          status,
          stop: () => abort.abort(),
        })
        answer({ kind: "ready", served: await status() })
        await aborted(abort.signal)
        server.close()
        control.fill(0)
      } finally {
        await removeServed(root, place.id)
      }
    } finally {
      await model.close()
    }
  } finally {
    await close()
  }
  // Connections of clients would keep the process up; they were answered or are void.
  process.exit(0)
}

async function readStandardInput(): Promise<string> {
  let text = ""
  for await (const part of process.stdin.setEncoding("utf8")) text += String(part)
  return text
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }))
}

function memoryOf({ peakBytes, heap }: RuntimeMemory): Pick<Served, "peakMemoryBytes" | "heap"> {
  return {
    peakMemoryBytes: peakBytes,
    heap: heap === null ? null : { isSecret: heap.isSecret, liveBytes: heap.live },
  }
}

function answer(document: ServeAnswer): void {
  process.stdout.write(`${JSON.stringify(document)}\n`)
}
