/** Stanzas over standard streams: how age talks to its plugins (C2SP age-plugin.md, "IPC protocol"). */
import { AppError } from "../../contract/errors.ts"
import { LineReader, readStanza, stanzaLines, type Stanza } from "../../core/age/stanza.ts"
import { concat } from "../../core/bytes/bytes.ts"
import type { StanzaStream } from "../../services/age-plugin/conversation.ts"

/** A hybrid stanza is 2 KB; a thousand of them and their commands fit. */
const MAX_PENDING_BYTES = 8 << 20

export function standardStreams(): StanzaStream {
  const input = process.stdin[Symbol.asyncIterator]()
  let pending = new Uint8Array(0)
  return {
    async read() {
      for (;;) {
        const found = takeStanza(pending)
        if (found !== null) {
          pending = pending.slice(found.end)
          return found.stanza
        }
        if (pending.length > MAX_PENDING_BYTES)
          throw new AppError("AGE_MALFORMED", "the client sent a stanza that does not end")
        const next = await input.next()
        if (next.done === true) return null
        // Standard input has no encoding set, so it yields buffers.
        pending = concat(pending, next.value as Uint8Array)
      }
    },
    async write(stanza) {
      const text = `${stanzaLines(stanza).join("\n")}\n`
      await new Promise<void>((resolve, reject) => {
        process.stdout.write(text, (error) => (error ? reject(error) : resolve()))
      })
    },
  }
}

function takeStanza(bytes: Uint8Array): { readonly stanza: Stanza; readonly end: number } | null {
  const lines = new LineReader(bytes)
  const line = lines.next()
  if (line === null) return null
  const stanza = readStanza(line, lines)
  return stanza === null ? null : { stanza, end: lines.at }
}
