/**
 * The process that has PKCS#11 modules loaded, and nothing else. A module is foreign code that runs where it is loaded: here it
 * can block, crash or read memory without touching the engine, its grants or the models it opens.
 */
import { toAppError } from "../../../contract/errors.ts"
import { wipe } from "../../../core/bytes/bytes.ts"
import type { Answer, Question } from "./protocol.ts"
import { MessageKey, sealOnce } from "./sealed-message.ts"
import { Tokens } from "./tokens.ts"

const tokens = new Tokens()
let pinKey = new MessageKey()

process.on("message", (question: Question) => process.send?.(respond(question)))
// The engine is gone: sessions end with the process.
process.on("disconnect", () => process.exit(0))

function respond(question: Question): Answer {
  try {
    return { id: question.id, kind: "done", output: run(question) }
  } catch (error) {
    const { code, message } = toAppError(error)
    return { id: question.id, kind: "failed", code, message }
  }
}

function run({ command, input }: Question): unknown {
  switch (command) {
    case "tokens":
      return tokens.list(input.module)
    case "token":
      return tokens.describe(input.target)
    case "pinKey":
      pinKey.wipe()
      pinKey = new MessageKey()
      return pinKey.publicKey
    case "login": {
      const pin = input.pin === null ? null : pinKey.open(input.pin)
      try {
        return tokens.login(input.target, pin)
      } finally {
        wipe(pin)
      }
    }
    case "generate":
      return tokens.generate(input.target, input.purpose, input.label, input.id)
    case "find":
      return tokens.find(input.target)
    case "describe":
      return tokens.describeKey(input.target)
    case "derive":
      return sealOnce(tokens.derive(input.target, input.point), input.sealTo)
    case "sign":
      return tokens.sign(input.target, input.digest, input.kind)
    case "destroy":
      return tokens.destroy(input.target)
  }
}
