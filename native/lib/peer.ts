/** Who is at the other end of a Unix socket (SO_PEERCRED). */
import { addon } from "./addon.ts"

export interface PeerCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

interface PeerAddon {
  readonly peerCredentials: (descriptor: number) => [pid: number, uid: number, gid: number] | null
}

/** Of the socket with this descriptor; `null` where the system or a missing addon cannot tell. */
export function peerCredentials(descriptor: number): PeerCredentials | null {
  const state = addon()
  if (state.kind === "missing") return null
  // The addon is built from this tree; its functions have these types.
  const found = (state.exports as PeerAddon).peerCredentials(descriptor)
  if (found === null) return null
  const [pid, uid, gid] = found
  return { pid, uid, gid }
}
