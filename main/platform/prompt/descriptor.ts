/** Answers from an open file descriptor, one line each: for scripts, since arguments and environment are public. */
import { read } from "node:fs"
import { promisify } from "node:util"
import { AppError } from "../../contract/errors.ts"
import { wipe } from "../../core/bytes/bytes.ts"
import type { Prompter } from "../../services/ports/prompter.ts"

/** Longest answer, bytes of UTF-8. */
export const MAX_ANSWER_BYTES = 1024
const NEWLINE = 10
const CARRIAGE_RETURN = 13

const readSome = promisify(read)

export function descriptorPrompter(descriptor: number): Prompter {
  return {
    // A script that hands over an answer knows it: nothing is asked for twice.
    ask: async ({ subject }) => {
      const answer = await readLine(descriptor)
      if (answer.length === 0)
        throw new AppError(
          "PROMPT_UNAVAILABLE",
          `file descriptor ${descriptor} holds no answer for ${subject}`,
        )
      return answer
    },
  }
}

/** Byte by byte, so that the next line is still there for the next question. */
async function readLine(descriptor: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(MAX_ANSWER_BYTES + 1)
  let length = 0
  try {
    while (length < buffer.length) {
      const { bytesRead } = await readByte(descriptor, buffer, length)
      if (bytesRead === 0 || buffer[length] === NEWLINE) break
      length += 1
    }
    if (length > MAX_ANSWER_BYTES)
      throw new AppError("PROMPT_UNAVAILABLE", `the answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    if (buffer[length - 1] === CARRIAGE_RETURN) length -= 1
    return Uint8Array.from(buffer.subarray(0, length))
  } finally {
    wipe(buffer)
  }
}

async function readByte(descriptor: number, buffer: Buffer, offset: number) {
  try {
    return await readSome(descriptor, buffer, offset, 1, null)
  } catch (error) {
    throw new AppError("PROMPT_UNAVAILABLE", `file descriptor ${descriptor} cannot be read`, { cause: error })
  }
}
