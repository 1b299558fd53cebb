/** Who may open a window: links that work once, and sessions that live as long as the host. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto"

const TOKEN_BYTES = 32
/** A session a window; the oldest goes when there are more. */
const MAX_SESSIONS = 64

/**
 * The token of a link stands in the address a browser is given, so browsers may remember it: it is good for one use. The
 * session a window gets for it never stands in an address. Only digests are kept, compared in constant time.
 */
export class Tokens {
  #link: Buffer = Buffer.alloc(0)
  #sessions: Buffer[] = []

  /** A new token for a link; the one before it ends. */
  issueLink(): string {
    const token = newToken()
    this.#link = digestOf(token)
    return token
  }

  /** A session for a link's token (which is used up by this) or for a session's own; `null` when it is neither. */
  redeem(token: string): { readonly session: string; readonly usedLink: boolean } | null {
    const digest = digestOf(token)
    // Every comparison is made, whichever fits.
    let isSession = false
    for (const known of this.#sessions) isSession = timingSafeEqual(known, digest) || isSession
    if (isSession) return { session: token, usedLink: false }
    if (this.#link.length === 0 || !timingSafeEqual(this.#link, digest)) return null
    this.#link = Buffer.alloc(0)
    const session = newToken()
    this.#sessions = [...this.#sessions, digestOf(session)].slice(-MAX_SESSIONS)
    return { session, usedLink: true }
  }
}

/** 256 random bits. */
export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString("base64url")
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest()
}
