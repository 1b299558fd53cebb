import { spawn } from "node:child_process"
import { AppError } from "../../contract/errors.ts"

const MAX_OUTPUT_BYTES = 1 << 20
const PATIENCE_MS = 60_000

/**
 * Runs `docker-credential-NAME VERB` with `input` on its standard input. Returns what it prints; `null` when it has no such
 * login or is not installed. Throws CREDENTIALS_UNREADABLE for any other failure, without the helper's words: they may hold
 * what must stay here.
 */
export async function runHelper(
  name: string,
  verb: "get" | "store" | "erase",
  input: string,
  environment: NodeJS.ProcessEnv,
): Promise<Buffer | null> {
  // The name comes from a file and becomes part of a program's name.
  if (!/^[A-Za-z0-9._-]+$/.test(name)) throw failed("a credential helper has an unsafe name")
  const child = spawn(`docker-credential-${name}`, [verb], {
    env: environment,
    stdio: ["pipe", "pipe", "ignore"],
    timeout: PATIENCE_MS,
  })
  const parts: Buffer[] = []
  let size = 0
  child.stdout.on("data", (part: Buffer) => {
    size += part.length
    if (size > MAX_OUTPUT_BYTES) child.kill("SIGKILL")
    else parts.push(part)
  })
  child.stdin.on("error", () => {}) // a helper may end without reading
  child.stdin.end(input)
  const status = await new Promise<number | null | "absent">((resolve) => {
    child.once("error", () => resolve("absent"))
    child.once("close", (code) => resolve(code))
  })
  const output = Buffer.concat(parts)
  if (status === 0) return output
  const isUnknown = /credentials not found/i.test(output.toString("utf8", 0, 1000))
  if (verb === "get" && (status === "absent" || isUnknown)) return null
  throw failed(
    status === "absent"
      ? `the credential helper ${name} is not installed`
      : `the credential helper ${name} failed`,
  )
}

function failed(message: string): AppError {
  return new AppError("CREDENTIALS_UNREADABLE", message)
}
