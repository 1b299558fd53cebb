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
