/**
 * The child's end of the private socket it was started with: requests are answered one at a time and in order, and the
 * process ends with the socket, because then there is nobody to answer and nothing to keep.
 */
import { Socket } from "node:net"
import { toAppError, type ErrorCode } from "../contract/errors.ts"
import { frameParts, FrameReader } from "../core/bytes/frames.ts"
import type { Json } from "../core/bytes/json.ts"
import type { TensorBytes } from "./session.ts"

const CHANNEL = 3
/** Largest request: a batch of inputs, or all weights of a model. */
const MAX_REQUEST_BYTES = 2 ** 32

type Failure = { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string }

/** Sends a reply: its header, and the tensors whose bytes follow. */
export type Send<Reply extends object> = (header: Reply, tensors?: readonly TensorBytes[]) => void

/** `answer` is given each request as it came; what it throws is the reply. Returns what sends a reply. */
export function serveRequests(
  answer: (header: Json, body: Uint8Array<ArrayBuffer>) => Promise<void>,
): Send<object> {
  const channel = new Socket({ fd: CHANNEL, readable: true, writable: true })
  const frames = new FrameReader(MAX_REQUEST_BYTES)
  let queue: Promise<void> = Promise.resolve()
  const reply = (header: object, tensors: readonly TensorBytes[] = []) => {
    channel.cork()
    for (const part of frameParts(
      header,
      tensors.map(({ bytes }) => bytes),
    ))
      channel.write(part)
    channel.uncork()
  }
  channel.on("data", (bytes) => {
    for (const { header, body } of frames.push(bytes)) {
      const before = queue
      queue = (async () => {
        await before
        try {
          await answer(header, body)
        } catch (error) {
          const { code, message } = toAppError(error)
          const failure: Failure = { kind: "failed", code, message }
          reply(failure)
        }
      })()
    }
  })
  channel.on("close", () => process.exit(0))
  channel.on("error", () => process.exit(0))
  return reply
}
