/** The contract's part about tracing. The mathematics is large and loaded with the first suspect. */
import { engineRouter } from "../../contract/server.ts"
import type { Jobs } from "../jobs.ts"
import type { Ports } from "../ports.ts"

export function traceHandlers(ports: Ports, jobs: Jobs) {
  const os = engineRouter
  return {
    trace: os.trace.handler(async ({ input, signal }) =>
      jobs.start(
        `trace ${ports.files.nameOf(input.suspect)}`,
        async (job) => (await import("./trace.ts")).trace(ports, input, job),
        signal,
      ),
    ),
    traceBlackbox: os.traceBlackbox.handler(async ({ input, signal }) =>
      jobs.start(
        "trace by answers",
        async (job) => (await import("./trace-blackbox.ts")).traceBlackbox(ports, input, job),
        signal,
      ),
    ),
  }
}
