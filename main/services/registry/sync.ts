/** The queue of pushes: what could not be stored yet is tried again, also after the engine started anew. */
import { toAppError, type ErrorCode } from "../../contract/errors.ts"
import type { PushRequest, QueuedPush, Synced, SyncRequest } from "../../contract/schema/registry.ts"
import type { JobContext } from "../jobs.ts"
import type { Ports } from "../ports.ts"
import { push } from "./push.ts"

/** How soon a new entry is noticed. */
const LOOK_MS = 1_000
const FIRST_WAIT_MS = 5_000
const LONGEST_WAIT_MS = 300_000
/** Failures of the package: no registry will ever take it. */
const AT_FAULT = /^(FILE_|SEAL_|JSON_|PATH_|REGISTRY_REFERENCE_)/

/** One round over the queue; or, with `watch`, rounds until it is cancelled. A push that was done already costs a few requests. */
export async function sync(ports: Ports, { watch }: SyncRequest, job: JobContext): Promise<Synced> {
  const pushed: Synced["pushed"] = []
  const due = new Map<string, number>()
  for (;;) {
    for (const entry of await ports.pushes.list()) {
      const isDue = performance.now() >= (due.get(entry.id) ?? 0)
      if (entry.state === "stopped" || (watch && !isDue)) continue
      const request = await ports.pushes.request(entry.id)
      if (request === null) continue // somebody removed it meanwhile
      const digest = await attempt(ports, entry, request, job)
      if (digest === null) due.set(entry.id, performance.now() + waitMs(entry.attempts))
      else pushed.push({ name: entry.name, repository: entry.repository, tag: entry.tag, digest })
    }
    if (!watch) return { pushed, left: [...(await ports.pushes.list())] }
    await pause(LOOK_MS, job.signal)
  }
}

/** The digest the tag points to, or `null`: the entry then says why not. */
async function attempt(
  ports: Ports,
  entry: QueuedPush,
  request: PushRequest,
  job: JobContext,
): Promise<string | null> {
  try {
    const { digest } = await push(ports, request, job)
    await ports.pushes.remove(entry.id)
    return digest
  } catch (error) {
    job.signal.throwIfAborted()
    const { code } = toAppError(error)
    if (code === "INTERNAL") ports.reportFault(error)
    await ports.pushes.failed(entry.id, code, isAtFault(code))
    return null
  }
}

function isAtFault(code: ErrorCode): boolean {
  return AT_FAULT.test(code)
}

function waitMs(attempts: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempts) * (0.5 + Math.random() / 2)
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer)
        reject(toAppError(signal.reason))
      },
      { once: true },
    )
  })
}
