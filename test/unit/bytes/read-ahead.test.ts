import { describe, expect, test } from "vitest"
import { readAhead, sourceOf } from "../../../main/core/bytes/source.ts"

const BYTES = Uint8Array.from({ length: 1000 }, (_, index) => index % 251)

/** Notes the reads that reach the source. */
function counted() {
  const reads: string[] = []
  const source = sourceOf(BYTES)
  const read = async (offset: number, length: number) => {
    reads.push(`${offset}+${length}`)
    return source.read(offset, length)
  }
  return { reads, source: { size: source.size, read } }
}

describe("a source that is read ahead", () => {
  test("gives the same bytes, wherever and however much is asked for", async () => {
    const { source } = counted()
    const ahead = readAhead(source, 64)
    for (let step = 0; step < 500; step += 1) {
      const offset = (step * 7919) % BYTES.length
      const length = Math.min((step * 31) % 150, BYTES.length - offset)
      expect(await ahead.read(offset, length)).toEqual(BYTES.subarray(offset, offset + length))
    }
  })

  test("asks for neighbours once, and for what is larger as it is", async () => {
    const { source, reads } = counted()
    const ahead = readAhead(source, 64)
    for (let at = 0; at < 64; at += 8) await ahead.read(at, 8)
    await ahead.read(100, 65)
    await ahead.read(990, 10)
    expect(reads).toEqual(["0+64", "100+65", "990+10"])
  })

  test("reads more and more at a time while reads go forward", async () => {
    const reads: number[] = []
    const source = {
      size: 1 << 20,
      read: async (_: number, length: number) => {
        reads.push(length)
        return new Uint8Array(length)
      },
    }
    const ahead = readAhead(source)
    for (let at = 0; at < source.size; at += 512) await ahead.read(at, 512)
    expect(reads.slice(0, 4)).toEqual([1, 2, 4, 8].map((pages) => pages * 4096))
    expect(reads.length).toBeLessThan(11)
  })

  test("does not read far for who jumps back and forth", async () => {
    let bytes = 0
    const source = {
      size: 64 << 20,
      read: async (_: number, length: number) => {
        bytes += length
        return new Uint8Array(length)
      },
    }
    const ahead = readAhead(source)
    const reads = 4096
    for (let at = reads; at > 0; at -= 1) await ahead.read(at * 8192, 1024)
    expect(bytes).toBeLessThanOrEqual(reads * 4096)
    for (let at = 0; at < reads; at += 1)
      await ahead.read(at % 2 === 0 ? at * 8192 : source.size - 1024 - at * 8192, 1024)
    expect(bytes).toBeLessThanOrEqual(3 * reads * 4096)
  })

  test("keeps what it gave when it reads on", async () => {
    const ahead = readAhead(counted().source, 16)
    const first = await ahead.read(0, 16)
    await ahead.read(500, 16)
    expect(first).toEqual(BYTES.subarray(0, 16))
  })

  test("reads nothing past the end", async () => {
    await expect(readAhead(counted().source, 64).read(995, 6)).rejects.toThrow(RangeError)
  })
})
