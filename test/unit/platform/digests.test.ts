import { createHash } from "node:crypto"
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { nativePayload } from "../../../native/lib/payload.ts"

const native = nativePayload()
if (native === null) throw new Error("the addon is not built")

/** Byte `i` of stream `s`, so that no two streams or blocks are alike. */
const bytesOf = (stream: number, length: number, round: number) =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + stream * 7 + round * 13 + (index >> 8)) & 0xff)

describe("digests fed together", () => {
  test("come out as each would alone, whatever the lengths and the splits", async () => {
    const round = fc.array(fc.nat({ max: 700 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 6 }), async (rounds) => {
        const streams = Math.max(...rounds.map((lengths) => lengths.length))
        const ours = Array.from({ length: streams }, () => native.createDigest())
        const theirs = Array.from({ length: streams }, () => createHash("sha256"))
        for (const [index, lengths] of rounds.entries()) {
          const feeds = lengths.map((length, stream) => {
            const bytes = bytesOf(stream, length, index)
            theirs[stream]?.update(bytes)
            return { stream, bytes }
          })
          const outcome = await native.digest(
            feeds.flatMap(({ stream, bytes }) => {
              const digest = ours[stream]
              return digest === undefined ? [] : [{ digest, bytes }]
            }),
          )
          expect(outcome.kind).toBe("done")
        }
        const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")
        expect(ours.map((digest) => hex(native.finishDigest(digest)))).toEqual(
          theirs.map((hash) => hash.digest("hex")),
        )
      }),
      { numRuns: 300 },
    )
  })

  test("count their bits beyond 32 bits", async () => {
    const bytes = new Uint8Array(Buffer.alloc(64 << 20, bytesOf(0, 8191, 0)))
    const [first, second] = [native.createDigest(), native.createDigest()]
    const hash = createHash("sha256")
    for (let index = 0; index < 9; index += 1) {
      await native.digest([
        { digest: first, bytes },
        { digest: second, bytes: bytes.subarray(0, bytes.length - 64) },
      ])
      hash.update(bytes)
    }
    expect(Buffer.from(native.finishDigest(first)).equals(hash.digest())).toBe(true)
  })

  test("refuse one digest twice", async () => {
    const digest = native.createDigest()
    const bytes = new Uint8Array(64)
    const twice = [
      { digest, bytes },
      { digest, bytes },
    ]
    await expect(native.digest(twice)).rejects.toThrow(TypeError)
  })
})
