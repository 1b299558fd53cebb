import { readFileSync } from "node:fs"
import path from "node:path"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { AppError } from "../../../main/contract/errors.ts"
import { writeNpyHeader, type NpyDtype } from "../../../main/core/bytes/npy-header.ts"
import { npyRowCount, readNpyHeader, readNpyRows } from "../../../main/core/bytes/npy.ts"
import { sourceOf, type ByteSource } from "../../../main/core/bytes/source.ts"
import { join } from "../../support/protobuf.ts"

const models = path.resolve(import.meta.dirname, "../../models")
const manifest: { readonly data: readonly DataFile[] } = JSON.parse(
  readFileSync(path.join(models, "manifest.json"), "utf8"),
)

interface DataFile {
  readonly file: string
  readonly dtype: NpyDtype
  readonly shape: readonly number[]
  readonly data_offset: number
  readonly bytes: number
}

describe("real .npy files", () => {
  it.each(manifest.data.map((entry) => [entry.file, entry] as const))("reads %s", async (file, entry) => {
    const bytes = readFileSync(path.join(models, file))
    const header = await readNpyHeader(sourceOf(bytes))
    expect(header).toEqual({
      dtype: entry.dtype,
      shape: entry.shape,
      dataOffset: entry.data_offset,
      dataBytes: entry.bytes - entry.data_offset,
    })
    expect(Buffer.from(writeNpyHeader(entry.dtype, entry.shape))).toEqual(
      bytes.subarray(0, entry.data_offset),
    )
  })

  it("reads some rows and nothing around them", async () => {
    const bytes = readFileSync(path.join(models, "data/digits-eval-x.npy"))
    const whole = sourceOf(bytes)
    const header = await readNpyHeader(whole)
    const reads: [number, number][] = []
    const watched: ByteSource = {
      size: whole.size,
      read: (offset, length) => {
        reads.push([offset, length])
        return whole.read(offset, length)
      },
    }
    const rows = await readNpyRows(watched, header, 7, 9)
    expect(reads).toEqual([[128 + 7 * 64 * 4, 2 * 64 * 4]])
    expect(rows.shape).toEqual([2, 64])
    expect(rows.dtype).toBe("float32")
    const expected = new Float32Array(
      bytes.buffer.slice(bytes.byteOffset + 128, bytes.byteOffset + bytes.length),
    )
    expect(rows.data).toEqual(expected.subarray(7 * 64, 9 * 64))
  })
})

describe("the header numpy writes", () => {
  // Printed by numpy 2.4: {descr, fortran_order, shape} in, length of the header out.
  it.each([
    ["float32", [150, 30], 128],
    ["float64", [], 128],
    ["bool", [3], 128],
    ["uint8", [0, 5], 128],
    ["float32", [1, 10, ...Array<number>(12).fill(1)], 128],
    ["float32", [1, 10, 10, ...Array<number>(11).fill(1)], 192],
    ["int8", [1000000000000, 1000000, 100000000000, 10, 99, 1000000000], 192],
  ] as const)("is reproduced for %s %j", (dtype, shape, length) => {
    expect(writeNpyHeader(dtype, shape).length).toBe(length)
  })

  it("is reproduced byte for byte", () => {
    expect(Buffer.from(writeNpyHeader("bool", [3])).toString("latin1")).toBe(
      `\x93NUMPY\x01\x00v\x00{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }${" ".repeat(60)}\n`,
    )
    expect(Buffer.from(writeNpyHeader("float64", [])).toString("latin1")).toBe(
      `\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (), }${" ".repeat(62)}\n`,
    )
  })

  it("is read back for every type and shape", async () => {
    const dtypes = Object.keys(ITEM_BYTES) as NpyDtype[]
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...dtypes),
        fc.array(fc.nat(3), { maxLength: 6 }),
        async (dtype, shape) => {
          const count = shape.reduce((product, size) => product * size, 1)
          const bytes = join(writeNpyHeader(dtype, shape), new Uint8Array(count * ITEM_BYTES[dtype]).fill(1))
          const header = await readNpyHeader(sourceOf(bytes))
          expect(header).toMatchObject({ dtype, shape, dataBytes: count * ITEM_BYTES[dtype] })
          const rows = await readNpyRows(sourceOf(bytes), header, 0, npyRowCount(header))
          expect(rows).toMatchObject({ dtype, shape })
          expect(rows.data.length).toBe(count)
        },
      ),
      { seed: 1 },
    )
  })
})

describe("rows", () => {
  it("are values of the array's type", async () => {
    const values: readonly (readonly [NpyDtype, ArrayLike<number | bigint> & ArrayBufferView])[] = [
      ["int16", Int16Array.of(-1, 300)],
      ["uint64", BigUint64Array.of(2n ** 64n - 1n, 5n)],
      ["float64", Float64Array.of(0.1, -3)],
      ["float16", Uint16Array.of(0x3c00, 0xc000)],
    ]
    for (const [dtype, data] of values) {
      const bytes = join(writeNpyHeader(dtype, [2]), new Uint8Array(data.buffer as ArrayBuffer))
      const header = await readNpyHeader(sourceOf(bytes))
      expect((await readNpyRows(sourceOf(bytes), header, 0, 2)).data).toEqual(data)
    }
  })

  it("outside of the array are a mistake of the caller", async () => {
    const bytes = join(writeNpyHeader("uint8", [2, 2]), new Uint8Array(4))
    const header = await readNpyHeader(sourceOf(bytes))
    for (const [from, to] of [
      [-1, 1],
      [1, 0],
      [0, 3],
      [0.5, 1],
    ] as const)
      // prettier-ignore
      await expect(readNpyRows(sourceOf(bytes), header, from, to)).rejects.toThrow(RangeError)
  })
})

describe("what is no plain array", () => {
  it.each([
    ["big-endian numbers", "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }"],
    ["Fortran order", "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }"],
    ["objects", "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"],
    ["structures", "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"],
    ["texts", "{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }"],
    ["dates", "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,), }"],
    ["complex numbers", "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }"],
    ["a byte mark on a wide type", "{'descr': '|f4', 'fortran_order': False, 'shape': (1,), }"],
  ])("is unsupported: %s", async (_, text) => {
    await expect(readNpyHeader(sourceOf(npy(text, 4)))).toFailWithCode("NPY_UNSUPPORTED")
  })

  it("is unsupported: a format from the future", async () => {
    for (const version of [
      [0, 0],
      [4, 0],
      [1, 1],
    ] as const)
      // prettier-ignore
      await expect(readNpyHeader(sourceOf(npy(GOOD, 4, version)))).toFailWithCode("NPY_UNSUPPORTED")
  })
})

describe("a broken file", () => {
  it.each([
    ["no dict", "[]"],
    ["an unclosed dict", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), "],
    ["a missing key", "{'descr': '<f4', 'fortran_order': False, }"],
    ["a key that stands twice", "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"],
    ["an unknown key", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': (1,), }"],
    ["a missing comma", "{'descr': '<f4' 'fortran_order': False, 'shape': (1,), }"],
    ["a number as shape", "{'descr': '<f4', 'fortran_order': False, 'shape': (1), }"],
    ["a negative size", "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"],
    ["a size with a sign", "{'descr': '<f4', 'fortran_order': False, 'shape': (+1,), }"],
    ["an octal size", "{'descr': '<f4', 'fortran_order': False, 'shape': (01,), }"],
    ["sizes without a comma", "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }"],
    ["a size beyond 2^53", "{'descr': '<f4', 'fortran_order': False, 'shape': (9007199254740992,), }"],
    ["an overflowing shape", "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"],
    ["too many sizes", `{'descr': '<f4', 'fortran_order': False, 'shape': (${"1, ".repeat(33)}), }`],
    ["a bad flag", "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }"],
    ["text behind the dict", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x"],
    ["an escape in a text", "{'descr': '<f\\x34', 'fortran_order': False, 'shape': (1,), }"],
  ])("is refused: %s", async (_, text) => {
    await expect(readNpyHeader(sourceOf(npy(text, 4)))).toFailWithCode("NPY_MALFORMED")
  })

  it("is refused when cut at any byte, or one byte too long", async () => {
    const bytes = npy(GOOD, 4)
    expect(await readNpyHeader(sourceOf(bytes))).toMatchObject({ dtype: "float32", shape: [1] })
    for (let size = 0; size < bytes.length; size += 1)
      await expect(readNpyHeader(sourceOf(bytes.subarray(0, size)))).toFailWithCode("NPY_MALFORMED")
    await expect(readNpyHeader(sourceOf(join(bytes, "x")))).toFailWithCode("NPY_MALFORMED")
  })

  it("is refused for a header of 4 GiB before any of it is read", async () => {
    const head = join(Uint8Array.of(0x93), "NUMPY", Uint8Array.of(2, 0, 0xff, 0xff, 0xff, 0xff))
    const source: ByteSource = {
      size: 2 ** 40,
      read: async (offset, length) => {
        if (offset + length > head.length) throw new RangeError("read behind the preamble")
        return head.subarray(offset, offset + length)
      },
    }
    await expect(readNpyHeader(source)).toFailWithCode("NPY_MALFORMED")
  })

  it("never fails without a code, whatever the bytes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary-ascii", maxLength: 80 }), async (noise) => {
        const thrown: unknown = await readNpyHeader(sourceOf(npy(`{'descr': ${noise}`, 4))).catch(
          (error: unknown) => error,
        )
        expect(thrown).toBeInstanceOf(AppError)
      }),
      { seed: 1, numRuns: 500 },
    )
  })
})

it("takes formats 2.0 and 3.0 and a byte type with an order", async () => {
  expect(await readNpyHeader(sourceOf(npy(GOOD, 4, [2, 0])))).toMatchObject({ dataOffset: 12 + GOOD.length })
  expect(await readNpyHeader(sourceOf(npy(GOOD, 4, [3, 0])))).toMatchObject({ dataOffset: 12 + GOOD.length })
  const cnpy = `{"descr": "<u1", "fortran_order": False, "shape": (4,)}`
  expect(await readNpyHeader(sourceOf(npy(cnpy, 4)))).toMatchObject({ dtype: "uint8", shape: [4] })
})

const GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n"

const ITEM_BYTES: Readonly<Record<NpyDtype, number>> = {
  bool: 1,
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  uint64: 8,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
}

/** A file with this header text and so many bytes of values. */
function npy(text: string, dataBytes: number, version: readonly [number, number] = [1, 0]): Uint8Array {
  const length = new Uint8Array(version[0] === 2 || version[0] === 3 ? 4 : 2)
  length.set([text.length & 0xff, text.length >>> 8])
  return join(
    Uint8Array.of(0x93),
    "NUMPY",
    Uint8Array.from(version),
    length,
    Buffer.from(text, "latin1"),
    new Uint8Array(dataBytes),
  )
}
