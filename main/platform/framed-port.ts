/** A message port over two byte streams, so that the contract can be served to another process by its standard streams. */
import type { Readable, Writable } from "node:stream"
import { frameParts, FrameReader } from "../core/bytes/frames.ts"

/** What the contract's client and server want of a port (the shape of Electron's MessagePortMain). */
export interface FramedPort {
  on(event: string, listener: (event?: { readonly data: string | ArrayBuffer }) => void): void
  postMessage(data: unknown): void
}

/** Requests and answers are documents; files go by reference. */
const MAX_MESSAGE_BYTES = 64 << 20

/** A message that breaks the framing closes the port: whatever speaks there is not our peer. */
export function framedPort(readable: Readable, writable: Writable): FramedPort {
  const messages = new Set<(event: { readonly data: string | ArrayBuffer }) => void>()
  const closes = new Set<() => void>()
  const frames = new FrameReader(MAX_MESSAGE_BYTES)
  let isClosed = false
  const close = () => {
    if (isClosed) return
    isClosed = true
    for (const listener of closes) listener()
  }
  readable.on("data", (bytes: Uint8Array) => {
    try {
      for (const { header, body } of frames.push(bytes)) {
        const data = header === "text" ? new TextDecoder().decode(body) : body.buffer
        for (const listener of messages) listener({ data })
      }
    } catch {
      close()
      readable.destroy()
    }
  })
  for (const event of ["end", "close", "error"]) readable.on(event, close)
  for (const event of ["close", "error"]) writable.on(event, close)
  return {
    on(event, listener) {
      if (event === "message") messages.add(listener)
      if (event === "close") closes.add(() => listener())
    },
    postMessage(data) {
      if (isClosed) return
      const isText = typeof data === "string"
      const body = isText ? Buffer.from(data) : toBytes(data)
      for (const part of frameParts(isText ? "text" : "bytes", [body])) writable.write(part)
    },
  }
}

function toBytes(data: unknown): Uint8Array {
  if (data instanceof Uint8Array) return data
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  throw new TypeError("a message is text or bytes")
}
