/** One talk between age and this plugin (C2SP age-plugin.md, "IPC protocol"): first age speaks, then the plugin asks. */
import { AppError } from "../../contract/errors.ts"
import type { Stanza } from "../../core/age/stanza.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"

/** Where stanzas come from and go to. */
export interface StanzaStream {
  /** The next stanza, or `null` when the other side has gone. Throws AGE_MALFORMED. */
  read(): Promise<Stanza | null>
  write(stanza: Stanza): Promise<void>
}

/** One file has at most this many stanzas (as in headers), and so has the whole talk: it is kept before it is judged. */
const MAX_STANZAS = 4096

export class Conversation {
  readonly #stream: StanzaStream

  constructor(stream: StanzaStream) {
    this.#stream = stream
  }

  /** Everything age says before it is the plugin's turn. Throws AGE_MALFORMED when it ends without `done`. */
  async listen(): Promise<readonly Stanza[]> {
    const said: Stanza[] = []
    for (;;) {
      const stanza = await this.#stream.read()
      if (stanza === null) throw new AppError("AGE_MALFORMED", "the client ended before it was done")
      if (stanza.type === "done") return said
      if (said.length >= MAX_STANZAS)
        throw new AppError("AGE_MALFORMED", `the client said more than ${MAX_STANZAS} things`)
      said.push(stanza)
    }
  }

  /** Says one thing and returns the answer's body, or `null` unless the answer was `ok`. */
  async say(type: string, args: readonly string[], body: Uint8Array): Promise<Uint8Array | null> {
    await this.#stream.write({ type, args, body })
    const answer = await this.#stream.read()
    return answer?.type === "ok" ? answer.body : null
  }

  /** Asks a person through age; `null` when nobody answered. The caller wipes the answer. */
  async askSecret(question: string): Promise<Uint8Array | null> {
    return this.say("request-secret", [], toUtf8(question))
  }

  /** Reports what is wrong, for people to read. `what`: `internal`, or a kind and its index. */
  async complain(what: readonly string[], error: unknown): Promise<void> {
    const text = error instanceof AppError ? `${error.message}. ${error.hint}` : "an unexpected failure"
    await this.say("error", what, toUtf8(text))
  }

  async end(): Promise<void> {
    await this.#stream.write({ type: "done", args: [], body: new Uint8Array(0) })
  }
}

/** An index as the protocol writes it, or `null`. */
export function readIndex(text: string | undefined): number | null {
  return text !== undefined && /^(0|[1-9]\d{0,5})$/.test(text) ? Number(text) : null
}
