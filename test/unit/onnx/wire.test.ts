import { describe, expect, it } from "vitest"
import { sourceOf, type ByteSource } from "../../../main/core/bytes/source.ts"
import { readModelIndex } from "../../../main/core/onnx/model-index.ts"
import { ATTRIBUTE, MODEL, PACKED, TENSOR, type Message } from "../../../main/core/onnx/schema.ts"
import { WireReader } from "../../../main/core/onnx/wire.ts"
import { indexOf, model, modelWith, TYPE } from "../../support/onnx-models.ts"
import { block, double, float, floats, int, join, tag, varint, type Bytes } from "../../support/protobuf.ts"

describe("fields", () => {
  it("are found with number, place and value", async () => {
    const bytes = join(int(1, 8), block(2, "torch"), float(99, 1.5), double(100, 2), int(5, 2 ** 40))
    expect(await walk(bytes, MODEL)).toEqual([
      { number: 1, at: 0, offset: 1, length: 1 },
      { number: 2, at: 2, offset: 4, length: 5 },
      { number: 99, at: 9, offset: 11, length: 4 },
      { number: 100, at: 15, offset: 17, length: 8 },
      { number: 5, at: 25, offset: 26, length: 6 },
    ])
  })

  it("of unknown number are skipped in every encoding", async () => {
    const unknown = join(int(19, 1), block(18, "?"), float(17, 0), double(16, 0), int(2 ** 29 - 1, 5))
    expect((await indexOf(join(model(), unknown))).irVersion).toBe(8)
  })

  it("keep 64-bit integers exact", async () => {
    const values = [0, 1, -1, 2 ** 31, -(2 ** 31), 2 ** 53 - 1, -(2 ** 53 - 1), 2n ** 63n - 1n, -(2n ** 63n)]
    const bytes = join(...values.map((value) => varint(value)))
    const reader = new WireReader(sourceOf(bytes))
    const scope = reader.open(PACKED)
    await reader.load(scope)
    for (const value of values) {
      reader.nextVarint(scope)
      expect(reader.int64()).toBe(value)
    }
  })

  it("may spell a number with more bytes than it needs", async () => {
    const eight = Uint8Array.of(0x88, 0x80, 0x80, 0x00)
    expect((await indexOf(join(tag(1, 0), eight, block(7), block(8, int(2, 17))))).irVersion).toBe(8)
  })
})

describe("the wire format is refused as malformed", () => {
  const cases: readonly (readonly [string, Bytes])[] = [
    ["a varint of eleven bytes", join(tag(19, 0), new Uint8Array(10).fill(0x80), Uint8Array.of(1))],
    ["a varint of 65 bits", join(tag(19, 0), new Uint8Array(9).fill(0xff), Uint8Array.of(2))],
    ["field number 0", Uint8Array.of(0, 0)],
    ["a field number above 2^29-1", join(varint(2n ** 35n + 19n * 8n), varint(1))],
    ["a group", join(tag(19, 3), tag(19, 4))],
    ["the end of a group", tag(19, 4)],
    ["wire type 6", tag(19, 6)],
    ["wire type 7", tag(19, 7)],
    ["a known field in a foreign encoding", int(2, 5)],
    ["a graph that stands twice", block(7)],
    ["an IR version that stands twice", int(1, 8)],
    ["a name that is not UTF-8", block(2, Uint8Array.of(0xc3, 0x28))],
    ["a name of 40 kB", block(2, new Uint8Array(40_000).fill(97))],
  ]
  it.each(cases)("%s", async (_, field) => {
    await expect(indexOf(join(model(), field))).toFailWithCode("ONNX_MALFORMED")
  })

  it("a field that leaves its message, although the file goes on", async () => {
    const tooLong = join(tag(2, 2), varint(100), "short")
    await expect(indexOf(model(tooLong))).toFailWithCode("ONNX_MALFORMED")
    await expect(indexOf(model(tag(1, 2)))).toFailWithCode("ONNX_MALFORMED")
    await expect(indexOf(model(tag(19, 5), Uint8Array.of(1, 2, 3)))).toFailWithCode("ONNX_MALFORMED")
  })

  it("a length near 2^64 inside a message", async () => {
    for (const length of [2n ** 63n, 2n ** 64n - 1n, 2n ** 53n])
      await expect(indexOf(model(tag(2, 2), varint(length)))).toFailWithCode("ONNX_MALFORMED")
  })
})

describe("a length that runs past the end of the file", () => {
  it("means a cut file, however large it is", async () => {
    for (const length of [1n, 2n ** 31n, 2n ** 53n, 2n ** 64n - 1n]) {
      const bytes = join(model(), tag(6, 2), varint(length))
      await expect(indexOf(bytes)).toFailWithCode("ONNX_TRUNCATED")
    }
  })
})

describe("reading", () => {
  it("touches headers alone and never asks for more than 64 KiB", async () => {
    const payload = 3_000_000
    const bytes = modelWith(TYPE.float, [payload], block(9, new Uint8Array(4 * payload)))
    const reads: number[] = []
    const whole = sourceOf(bytes)
    const watched: ByteSource = {
      size: whole.size,
      read: (offset, length) => {
        reads.push(length)
        return whole.read(offset, length)
      },
    }
    expect((await readModelIndex(watched)).parameterCount).toBe(payload)
    expect(Math.max(...reads)).toBeLessThanOrEqual(64 * 1024)
    expect(reads.reduce((sum, length) => sum + length)).toBeLessThan(64 * 1024)
  })

  it("joins headers and names that straddle the edge of what was read", async () => {
    const long = join(Uint8Array.of(0x92, 0x80, 0x80, 0x80, 0x00, 0x87, 0x80, 0x80, 0x80, 0x00), "the-one")
    for (const edge of [4096, 8192, 16384]) {
      for (let filler = edge - 40; filler < edge; filler += 1) {
        const bytes = join(int(1, 8), block(19, new Uint8Array(filler)), long, block(7), block(8, int(2, 17)))
        expect((await indexOf(bytes)).producerName).toBe("the-one")
      }
    }
  })

  it("stands a source that reuses its buffer", async () => {
    const many = Array.from({ length: 3000 }, (_, i) =>
      block(5, int(1, 1), int(2, 1), block(8, `weight-${i}`), block(9, floats(i))),
    )
    const bytes = model(...many)
    const shared = new Uint8Array(64 * 1024)
    const reusing: ByteSource = {
      size: bytes.length,
      read: async (offset, length) => {
        shared.fill(0xff)
        shared.set(bytes.subarray(offset, offset + length))
        return shared.subarray(0, length)
      },
    }
    expect(await readModelIndex(reusing)).toEqual(await indexOf(bytes))
  })

  it("passes on what the source throws", async () => {
    const broken: ByteSource = { size: 100, read: () => Promise.reject(new Error("gone")) }
    await expect(readModelIndex(broken)).rejects.toThrow("gone")
  })
})

describe("the schema", () => {
  it("has no field number beyond the mask of seen fields", () => {
    for (const message of [MODEL, TENSOR, ATTRIBUTE]) expect(message.encodings.length).toBeLessThanOrEqual(32)
  })
})

async function walk(bytes: Uint8Array, message: Message): Promise<readonly object[]> {
  const reader = new WireReader(sourceOf(bytes))
  const scope = reader.open(message)
  const found: object[] = []
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    const number = reader.next(scope)
    found.push({ number, at: reader.fieldOffset, ...reader.span })
  }
  return found
}
