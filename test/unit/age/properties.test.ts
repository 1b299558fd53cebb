/** What must hold for every age file, whatever it contains and however it is written. */
import { array, assert, asyncProperty, constantFrom, integer, property, uint8Array } from "fast-check"
import { describe, expect, test } from "vitest"
import { AppError } from "../../../main/contract/errors.ts"
import { decryptBytes, encryptBytes, startFile } from "../../../main/core/age/file.ts"
import { readHeader, writeHeader } from "../../../main/core/age/header.ts"
import { PayloadReader } from "../../../main/core/age/reader.ts"
import { parseIdentity, parseRecipient } from "../../../main/core/age/recipients.ts"
import { CHUNK_BYTES, nodeChunkCipher, sealedSize } from "../../../main/core/age/stream.ts"
import { PayloadWriter } from "../../../main/core/age/writer.ts"
import { generateX25519, x25519IdentityText } from "../../../main/core/age/x25519.ts"
import { concat, wipe } from "../../../main/core/bytes/bytes.ts"
import { sourceOf } from "../../../main/core/bytes/source.ts"
import { seededRandom } from "../../support/seeded-random.ts"

const random = seededRandom(11)
const { secretKey, recipient } = generateX25519(random)
const recipients = [parseRecipient(recipient)]
const identities = [parseIdentity(x25519IdentityText(secretKey))]
const FILES = [0, 1, 100, CHUNK_BYTES, CHUNK_BYTES + 1].map((size) =>
  encryptBytes(random(size), recipients, random),
)

async function isRefused(file: Uint8Array): Promise<boolean> {
  try {
    await decryptBytes(file, identities)
    return false
  } catch (error) {
    return error instanceof AppError && error.code !== "INTERNAL"
  }
}

describe("an age file", () => {
  test("with any one byte changed is refused", async () => {
    await assert(
      asyncProperty(
        constantFrom(...FILES),
        integer({ min: 0 }),
        integer({ min: 1, max: 255 }),
        async (file, at, change) => {
          const altered = file.slice()
          altered[at % file.length] = (file[at % file.length] ?? 0) ^ change
          expect(await isRefused(altered)).toBe(true)
        },
      ),
      { numRuns: 3000, seed: 1 },
    )
  })

  test("with every byte of its header and first bytes of its payload changed in turn is refused", async () => {
    const [, file] = FILES
    if (file === undefined) throw new Error("no file")
    for (let at = 0; at < file.length; at += 1) {
      const altered = file.slice()
      altered[at] = (file[at] ?? 0) ^ 0x80
      expect(await isRefused(altered)).toBe(true)
    }
  })

  test("cut anywhere is refused", async () => {
    const [, , short] = FILES
    if (short === undefined) throw new Error("no file")
    for (let size = 0; size < short.length; size += 1)
      expect(await isRefused(short.subarray(0, size))).toBe(true)
    await assert(
      asyncProperty(constantFrom(...FILES), integer({ min: 0 }), async (file, at) => {
        expect(await isRefused(file.subarray(0, at % file.length))).toBe(true)
      }),
      { numRuns: 1000, seed: 1 },
    )
  })

  test("is the same however its plaintext was split into writes", () => {
    const key = random(32)
    const plain = random(3 * CHUNK_BYTES + 5)
    assert(
      property(
        integer({ min: 0, max: plain.length }),
        array(integer({ min: 0, max: 2 * CHUNK_BYTES }), { maxLength: 20 }),
        (size, cuts) => {
          const whole = new Uint8Array(sealedSize(size))
          nodeChunkCipher.seal(key, 0, true, plain.subarray(0, size), whole)
          const writer = new PayloadWriter(key, nodeChunkCipher)
          const parts: Uint8Array[] = []
          let at = 0
          for (const cut of [...cuts, size]) {
            const next = Math.min(size, at + cut)
            parts.push(writer.push(plain.subarray(at, next)))
            at = next
          }
          parts.push(writer.end())
          expect(Buffer.compare(concat(...parts), whole)).toBe(0)
        },
      ),
      { numRuns: 300, seed: 1 },
    )
  })

  test("gives any stretch of its plaintext by random access", async () => {
    const key = random(32)
    const plain = random(2 * CHUNK_BYTES + 77)
    const sealed = new Uint8Array(sealedSize(plain.length))
    nodeChunkCipher.seal(key, 0, true, plain, sealed)
    const reader = await PayloadReader.open(sourceOf(sealed), key, nodeChunkCipher)
    await assert(
      asyncProperty(
        integer({ min: 0, max: plain.length }),
        integer({ min: 0, max: plain.length }),
        async (a, b) => {
          const [from, to] = [Math.min(a, b), Math.max(a, b)]
          expect(Buffer.compare(await reader.read(from, to - from), plain.subarray(from, to))).toBe(0)
        },
      ),
      { numRuns: 300, seed: 1 },
    )
    reader.close()
  })

  test("gives nothing by random access when its end is cut off, even at a chunk", async () => {
    const key = random(32)
    const plain = random(2 * CHUNK_BYTES)
    const sealed = new Uint8Array(sealedSize(plain.length))
    nodeChunkCipher.seal(key, 0, true, plain, sealed)
    const cut = sourceOf(sealed.subarray(0, sealed.length / 2))
    await expect(PayloadReader.open(cut, key, nodeChunkCipher)).toFailWithCode("AGE_PAYLOAD_FORGED")
    wipe(key)
  })

  test("has a header that reads back as it was written, whatever the stanzas", () => {
    const word = array(integer({ min: 0x21, max: 0x7e }), { minLength: 1, maxLength: 80 }).map((codes) =>
      String.fromCharCode(...codes),
    )
    const stanza = array(word, { minLength: 1, maxLength: 4 })
    assert(
      property(
        array(stanza, { minLength: 1, maxLength: 5 }),
        array(uint8Array({ maxLength: 200 }), { minLength: 5, maxLength: 5 }),
        (words, bodies) => {
          const stanzas = words.map(([type = "x", ...args], index) => ({
            type,
            args,
            body: bodies[index] ?? new Uint8Array(0),
          }))
          const header = readHeader(writeHeader(stanzas, new Uint8Array(16)))
          expect(header?.stanzas).toEqual(stanzas)
        },
      ),
      { numRuns: 500, seed: 1 },
    )
  })
})

test("post-quantum and classic recipients do not share a file unless somebody insists", async () => {
  const { generatePq } = await import("../../../main/core/age/mlkem768x25519.ts")
  const mixed = [...recipients, parseRecipient(generatePq(random).recipient)]
  await expect(() => startFile(mixed, random)).toFailWithCode("RECIPIENTS_MIXED")
  expect(startFile(mixed, random, true).prefix.length).toBeGreaterThan(1000)
})
