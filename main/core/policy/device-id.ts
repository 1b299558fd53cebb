import { createHash } from "node:crypto"
import { toUtf8 } from "../bytes/bytes.ts"

/**
 * How metadata, which is public, names a device: the first half of the SHA-256 of its recipient, hex. The device's name at the
 * desk stays there.
 */
export function createDeviceId(recipient: string): string {
  return createHash("sha256").update(toUtf8(recipient)).digest("hex").slice(0, 32)
}

/**
 * The bin a device's word lies in: the first digit of its id. The words to a fleet are sixteen documents however many devices
 * there are, and stay below a megabyte each up to some hundred thousand.
 */
export function binOf(deviceId: string): string {
  return deviceId.slice(0, 1)
}

export const BINS: readonly string[] = Array.from({ length: 16 }, (_, digit) => digit.toString(16))
