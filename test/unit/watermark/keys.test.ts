/** Expected values were computed with Python's hmac and hashlib and with OpenSSL's enc, from the text of docs/FORMAT.md. */
import { createHash } from "node:crypto"
import { expect, test } from "vitest"
import { toHex } from "../../../main/core/bytes/bytes.ts"
import {
  codeWordContext,
  commitment,
  commitmentLeaf,
  modelHash,
  modelKey,
  streamKey,
  tensorKey,
} from "../../../main/core/watermark/keys.ts"
import { KeyStream } from "../../../main/core/watermark/prf.ts"
import { codeWordBits, T8 } from "../../../main/core/watermark/tardos.ts"

const K = Uint8Array.from({ length: 32 }, (_, i) => i)
const H = new Uint8Array(32).fill(0xaa)
const P = new Uint8Array(32).fill(0xbb)
const OWNER_SIGN = "0852549beea3baf11aff7fc7dff70c92a0b2c403a3f79bdfa1205d5e5faf20f5"
const STREAM =
  "cfd91a985b00a5de83fc7f0bd1dc2dbfaaa4e6a22a078e38f3eea5fb41e0c0be95cac5ac2685962efa5d8ba7fcbd1cca"

test("tensor and stream keys are HKDF-SHA256 over content, parameters and label", () => {
  const key = tensorKey(K, H, P)
  expect(toHex(key)).toBe("3b4d51b9ff4097b0a74a04dee1742f22a8c296ff69dd6f820a417e8b196d4bc5")
  expect(toHex(streamKey(key, "owner-sign"))).toBe(OWNER_SIGN)
  expect(toHex(streamKey(key, "code-word", codeWordContext(7, 2)))).toBe(
    "47d53f06f29b12aecd72fa48ff61847a6e8fde22e3a80590251114439f5697ef",
  )
})

test("one changed byte of content, parameters or label gives an unrelated key", () => {
  const keys = [
    tensorKey(K, H, P),
    tensorKey(K, H.with(3, 0xab), P),
    tensorKey(K, H, P.with(31, 0xba)),
    tensorKey(K.with(0, 1), H, P),
    streamKey(tensorKey(K, H, P), "code-sign"),
    modelKey(K, H, "probe"),
    modelKey(K, H, "trigger-label"),
  ]
  keys.forEach((a, i) =>
    keys.slice(i + 1).forEach((b) => {
      const differing = a.reduce((sum, byte, at) => sum + ones(byte ^ (b[at] ?? 0)), 0)
      expect(differing).toBeGreaterThan(80) // of 256; 128 expected, 6 standard deviations are 48
      expect(differing).toBeLessThan(176)
    }),
  )
})

test("a stream is AES-256-CTR and reads the same from any position", () => {
  const stream = new KeyStream(Buffer.from(OWNER_SIGN, "hex"))
  expect(toHex(stream.read(0, 48))).toBe(STREAM)
  for (const [offset, length] of [
    [1, 40],
    [15, 2],
    [16, 16],
    [47, 1],
  ] as const)
    expect(toHex(stream.read(offset, length))).toBe(STREAM.slice(offset * 2, (offset + length) * 2))
  const far = stream.read(2 ** 33 + 5, 64)
  expect(toHex(stream.read(2 ** 33 + 20, 20))).toBe(toHex(far.subarray(15, 35)))
  const large = stream.read(0, (1 << 20) + 100)
  expect(toHex(large.subarray(1 << 20))).toBe(toHex(stream.read(1 << 20, 100)))
})

test("bits of a stream are its bytes, least significant bit first, from any position", () => {
  const stream = new KeyStream(Buffer.from(OWNER_SIGN, "hex"))
  const bits = stream.readBits(0, 48 * 8)
  Buffer.from(STREAM, "hex").forEach((byte, at) => {
    expect(bits.subarray(at * 8, at * 8 + 8).reduce((sum, bit, i) => sum + (bit << i), 0)).toBe(byte)
  })
  expect([...stream.readBits(13, 30)]).toEqual([...bits.subarray(13, 43)])
})

test("the commitment is a tree over the tensors, bound to model, parameters and size of the code", () => {
  const leaf = (i: number) =>
    commitmentLeaf({
      tensorHash: new Uint8Array(32).fill(i),
      tensorKey: new Uint8Array(32).fill(i + 16),
      nonce: new Uint8Array(16).fill(i + 32),
    })
  const leaves = [leaf(0), leaf(1), leaf(2)]
  const h0 = modelHash([2, 0, 1].map((i) => new Uint8Array(32).fill(i)))
  expect(toHex(h0)).toBe("934d1dbfb88c30da48404c96d98e39955ff1586d9382c2ceb15264cb23ea1710")
  const whole = toHex(commitment(leaves, h0, P, 100_000, 8))
  expect(whole).toBe("c485350d2cbdb038acd31422fd3d6d5b9eb2472df723b33b3845b39909dd3f52")
  expect(toHex(commitment(leaves, h0, P, 100_000, 7))).not.toBe(whole)
  expect(toHex(commitment(leaves.toReversed(), h0, P, 100_000, 8))).not.toBe(whole)
  expect(() => commitment([], h0, P, 1, 1)).toThrow(RangeError)
})

test("the bias table is the arcsine law cut at 0.02", () => {
  expect(toHex(createHash("sha256").update(T8).digest())).toBe(
    "999f813fbc1b6d4631a75de10db80968ee534b574c3ee4c5c9dca1ba7dd604d5",
  )
  expect(T8.every((t8, i) => t8 + (T8[255 - i] ?? 0) === 256)).toBe(true)
  expect([...codeWordBits(Uint8Array.of(0, 0, 255), Uint8Array.of(4, 5, 250))]).toEqual([1, 0, 1])
})

function ones(byte: number): number {
  return byte.toString(2).replaceAll("0", "").length
}
