import { createHash } from "node:crypto"
import { toUtf8 } from "../bytes/bytes.ts"

/**
 * How metadata, which is public, names a device: the first half of the SHA-256 of its recipient, hex. The device's name at the
 * desk stays there.
 */
export function createDeviceId(recipient: string): string {
  return createHash("sha256").update(toUtf8(recipient)).digest("hex").slice(0, 32)
}
