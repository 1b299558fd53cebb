import * as fc from "fast-check"
import { expect, test } from "vitest"
import { frameParts, FrameReader } from "../../../main/core/bytes/frames.ts"

const bytesOf = (header: object, ...bodies: Uint8Array[]) => Buffer.concat(frameParts(header, bodies))

test("puts frames together however the stream is split", () => {
  const stream = Buffer.concat([
    bytesOf({ kind: "a" }),
    bytesOf({ kind: "b" }, new Uint8Array(300).fill(1), new Uint8Array(5).fill(2)),
    bytesOf({ kind: "c" }, new Uint8Array(1)),
  ])
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 40 }), { minLength: 1 }), (steps) => {
      const reader = new FrameReader(1000)
      const frames = []
      for (let at = 0, step = 0; at < stream.length; step += 1) {
        const size = Math.max(1, steps[step % steps.length] ?? 1)
        frames.push(...reader.push(stream.subarray(at, at + size)))
        at += size
      }
      expect(frames.map(({ header, body }) => [header, body.length])).toEqual([
        [{ kind: "a" }, 0],
        [{ kind: "b" }, 305],
        [{ kind: "c" }, 1],
      ])
    }),
    { seed: 3, numRuns: 200 },
  )
})

test("refuses a body above the limit before taking memory for it", async () => {
  const [head] = frameParts({ kind: "x" }, [])
  const lying = Buffer.from(head ?? [])
  lying.writeUInt32LE(0xffffffff, 4)
  await expect(() => new FrameReader(1000).push(lying)).toFailWithCode("INTERNAL")
})

test("refuses a header that is empty, too long or not JSON", async () => {
  const prefix = (length: number) => {
    const bytes = Buffer.alloc(10)
    bytes.writeUInt32LE(length, 0)
    return bytes
  }
  await expect(() => new FrameReader(10).push(prefix(0))).toFailWithCode("INTERNAL")
  await expect(() => new FrameReader(10).push(prefix(2 ** 31))).toFailWithCode("INTERNAL")
  await expect(() => new FrameReader(10).push(Buffer.concat([prefix(2), Buffer.from("{]")]))).toFailWithCode(
    "JSON_MALFORMED",
  )
})
