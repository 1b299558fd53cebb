/**
 * A suspect behind a command: one JSON line in for each batch, one out.
 *
 *     → {"name": "input", "type": "float32", "shape": [32, 1, 28, 28], "data": "<base64, little-endian>"}
 *     ← {"labels": [3, 7, …]}
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { toBase64 } from "../../core/bytes/bytes.ts"
import type { SuspectCommands } from "../../services/ports/suspect.ts"

const answerSchema = z.object({ labels: z.array(z.int()) })

export const suspectCommands: SuspectCommands = {
  start: (command) => {
    const child = spawn(command, { shell: true, stdio: ["pipe", "pipe", "inherit"] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    // A command that ends early closes its input: the missing answer says so.
    child.stdin.on("error", () => {})
    const ended = once(child, "close")
    return {
      labels: async ({ name, type, shape, data }) => {
        child.stdin.write(`${JSON.stringify({ name, type, shape, data: toBase64(data) })}\n`)
        const line = await lines.next()
        if (line.done === true) throw new AppError("SUSPECT_ANSWERS", "the suspect ended before it answered")
        return readAnswer(line.value, shape[0] ?? 0)
      },
      close: async () => {
        child.stdin.end()
        child.kill()
        await ended
      },
    }
  },
}

function readAnswer(line: string, rows: number): readonly number[] {
  let parsed
  try {
    parsed = answerSchema.safeParse(JSON.parse(line))
  } catch {
    throw new AppError("SUSPECT_ANSWERS", "the suspect's answer is not JSON")
  }
  if (!parsed.success || parsed.data.labels.length !== rows)
    throw new AppError("SUSPECT_ANSWERS", `the suspect's answer does not hold ${rows} labels`)
  return parsed.data.labels
}
