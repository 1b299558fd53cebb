/** One runtime process and the private socket to it. */
import { spawn, type StdioOptions } from "node:child_process"
import { AppError } from "../../contract/errors.ts"
import {
  runtimeReplySchema,
  type RuntimeReply,
  type RuntimeRequest,
} from "../../contract/runtime-protocol.ts"
import type { RuntimeLevel } from "../../contract/schema/runtime.ts"
import type { OpenFile } from "../../services/ports.ts"
import { AnsweringChild, CHANNEL, type Reply } from "./answering-child.ts"
import { runtimeCommand } from "./command.ts"

export class Runtime extends AnsweringChild<RuntimeRequest, RuntimeReply> {
  /** What the process says of itself, before it is asked for anything. Rejects with RUNTIME_FAILED. */
  readonly ready: Promise<Reply<RuntimeReply>>

  constructor(files: readonly OpenFile[], goal: RuntimeLevel) {
    const stdio: StdioOptions = ["ignore", "ignore", "ignore", "pipe", ...files.map((file) => file.number)]
    const { program, args, env } = runtimeCommand(goal, CHANNEL + files.length)
    super(
      spawn(program, [...args], { stdio, env, windowsHide: true }),
      (header) => runtimeReplySchema.parse(header),
      () => new AppError("RUNTIME_FAILED", "the sealed runtime ended before it answered"),
    )
    this.ready = this.next()
  }
}
