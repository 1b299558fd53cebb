/** Asks the person at the terminal, without echo. */
import { constants, openSync, closeSync } from "node:fs"
import { ReadStream } from "node:tty"
import { AppError } from "../../contract/errors.ts"
import { isEqual, wipe } from "../../core/bytes/bytes.ts"
import type { Prompter, Question } from "../../services/ports/prompter.ts"
import { MAX_ANSWER_BYTES } from "./descriptor.ts"

const WHAT = {
  passphrase: "passphrase",
  password: "password",
  pin: "PIN",
  auth: "authorisation value",
} as const

/** `null` where this process has no terminal. */
export function terminalPrompter(): Prompter | null {
  if (!hasTerminal()) return null
  // One question at a time, in the order they came.
  let last: Promise<unknown> = Promise.resolve()
  return {
    ask: async (question) => {
      const answer = last.then(async () => ask(question))
      last = answer.catch(() => null)
      return answer
    },
  }
}

async function ask({ kind, subject, notice, isNew }: Question): Promise<Uint8Array> {
  const note = notice === null ? "" : ` (${notice})`
  const answer = await readHidden(`${isNew ? "new " : ""}${WHAT[kind]} for ${subject}${note}: `)
  if (!isNew) return answer
  const again = await readHidden("the same again: ")
  try {
    if (!isEqual(answer, again)) throw new AppError("PROMPT_MISMATCH", "the two answers differ")
    return answer
  } catch (error) {
    wipe(answer)
    throw error
  } finally {
    wipe(again)
  }
}

/** One line from the terminal itself, whatever standard input is. */
async function readHidden(text: string): Promise<Uint8Array> {
  const terminal = new ReadStream(openTerminal())
  terminal.setRawMode(true)
  process.stderr.write(text)
  const line = new Line()
  try {
    await new Promise<void>((resolve, reject) => {
      terminal.once("error", reject)
      terminal.once("end", resolve)
      terminal.on("data", (bytes: Buffer) => {
        const state = line.take(bytes)
        wipe(bytes)
        if (state === "complete") resolve()
        else if (state === "cancelled") reject(new AppError("CANCELLED", "the question was cancelled"))
      })
    })
    return line.value()
  } finally {
    line.wipe()
    terminal.setRawMode(false)
    terminal.destroy()
    process.stderr.write("\n")
  }
}

/** What was typed so far, with the keys that edit it. */
class Line {
  readonly #buffer = Buffer.alloc(MAX_ANSWER_BYTES)
  #length = 0

  /** Ctrl-C and Ctrl-D cancel. */
  take(bytes: Uint8Array): "open" | "complete" | "cancelled" {
    for (const byte of bytes) {
      if (byte === KEY.enter || byte === KEY.newline) return "complete"
      if (byte === KEY.interrupt || byte === KEY.end) return "cancelled"
      if (byte === KEY.erase || byte === KEY.backspace) this.#eraseCharacter()
      else if (byte === KEY.eraseLine) this.wipe()
      else if (this.#length < this.#buffer.length) this.#buffer[this.#length++] = byte
    }
    return "open"
  }

  value(): Uint8Array {
    if (this.#length === 0) throw new AppError("CANCELLED", "nothing was typed")
    return Uint8Array.from(this.#buffer.subarray(0, this.#length))
  }

  wipe(): void {
    wipe(this.#buffer)
    this.#length = 0
  }

  /** A character of UTF-8 is its first byte and all continuation bytes (10xxxxxx) after it. */
  #eraseCharacter(): void {
    while (this.#length > 0) {
      const byte = this.#buffer[--this.#length] ?? 0
      this.#buffer[this.#length] = 0
      if ((byte & 0xc0) !== 0x80) return
    }
  }
}

const KEY = { interrupt: 3, end: 4, backspace: 8, newline: 10, enter: 13, eraseLine: 21, erase: 127 } as const

function hasTerminal(): boolean {
  try {
    closeSync(openTerminal())
    return true
  } catch {
    return false
  }
}

function openTerminal(): number {
  return openSync(process.platform === "win32" ? "CONIN$" : "/dev/tty", constants.O_RDWR)
}
