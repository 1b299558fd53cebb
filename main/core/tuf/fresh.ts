/** Snapshot and timestamp: which documents belong together, and until when that may be believed. */
import { createHash } from "node:crypto"
import { common, type Signed } from "./plan.ts"

/** A document by role, as its file is. */
export interface Listed {
  readonly role: string
  readonly version: number
  readonly bytes: Uint8Array
}

export function toSnapshot(listed: readonly Listed[], version: number, expires: string): Signed {
  return {
    _type: "snapshot",
    ...common(version, expires),
    meta: Object.fromEntries(listed.map((document) => [`${document.role}.json`, metaOf(document)])),
  }
}

export function toTimestamp(snapshot: Omit<Listed, "role">, version: number, expires: string): Signed {
  return { _type: "timestamp", ...common(version, expires), meta: { "snapshot.json": metaOf(snapshot) } }
}

/** Length and hash beside the version: a client need not download what it can tell is wrong. */
function metaOf({ version, bytes }: Omit<Listed, "role">) {
  const sha256 = createHash("sha256").update(bytes).digest("hex")
  return { version, length: bytes.length, hashes: { sha256 } }
}
