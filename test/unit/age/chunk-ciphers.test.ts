/** The chunk cipher exists several times; every one must give the same bytes and refuse the same lies. */
import { describe, expect, test } from "vitest"
import {
  CHUNK_BYTES,
  nodeChunkCipher,
  SEALED_CHUNK_BYTES,
  sealedSize,
  type ChunkCipher,
} from "../../../main/core/age/stream.ts"
import { sodiumChunkCipher } from "../../../main/platform/payload/portable-cipher.ts"
import { nativePayload } from "../../../native/lib/payload.ts"
import { seededRandom } from "../../support/seeded-random.ts"

const native = nativePayload()
if (native === null) throw new Error("the addon is built before the tests run")
const CIPHERS: readonly ChunkCipher[] = [nodeChunkCipher, sodiumChunkCipher, native.cipher]
const SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
const random = seededRandom(3)
const key = random(32)

describe.each(CIPHERS)("$name", (cipher) => {
  test.each(SIZES)("seals %i bytes as node:crypto does, and opens them", (size) => {
    const plain = random(size)
    const sealed = sealAll(cipher, plain)
    expect(Buffer.compare(sealed, sealAll(nodeChunkCipher, plain))).toBe(0)
    const opened = new Uint8Array(size)
    expect(cipher.open(key, 5, true, sealed, opened)).toBe(size)
    expect(Buffer.compare(opened, plain)).toBe(0)
  })

  test("names the chunk that was altered and leaves nothing of the run in memory", () => {
    const sealed = sealAll(cipher, random(3 * CHUNK_BYTES))
    sealed[SEALED_CHUNK_BYTES + 9] = (sealed[SEALED_CHUNK_BYTES + 9] ?? 0) ^ 1
    const opened = new Uint8Array(3 * CHUNK_BYTES)
    expect(cipher.open(key, 5, true, sealed, opened)).toBe(-2)
    expect(opened.every((byte) => byte === 0)).toBe(true)
  })

  test("refuses a last chunk that is not marked as the last, and the reverse", () => {
    const plain = random(CHUNK_BYTES)
    const sealed = sealAll(cipher, plain)
    expect(cipher.open(key, 5, false, sealed, new Uint8Array(CHUNK_BYTES))).toBe(-1)
    cipher.seal(key, 5, false, plain, sealed)
    expect(cipher.open(key, 5, true, sealed, new Uint8Array(CHUNK_BYTES))).toBe(-1)
  })
})

function sealAll(cipher: ChunkCipher, plain: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(sealedSize(plain.length))
  expect(cipher.seal(key, 5, true, plain, sealed)).toBe(sealed.length)
  return sealed
}
