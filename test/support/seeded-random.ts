/** Reproducible bytes: AES-128-CTR under a key made of the seed. For tests; nobody's secret. */
import { createCipheriv } from "node:crypto"
import type { Random } from "../../main/core/age/recipient.ts"

export function seededRandom(seed: number): Random {
  const key = Buffer.alloc(16)
  key.writeDoubleLE(seed)
  const stream = createCipheriv("aes-128-ctr", key, Buffer.alloc(16))
  return (size) => new Uint8Array(stream.update(new Uint8Array(size)))
}
