import { describe, expect, it } from "vitest"
import { block, double, float, floats, int, join, tag, varint, type Bytes } from "../../support/protobuf.ts"
import { indexOf, model, modelWith, tensor, tensorOf, TYPE } from "../../support/onnx-models.ts"

describe("values in raw_data", () => {
  // [DataType, elements, bytes] of onnx.proto; narrow types share bytes.
  it.each([
    ["FLOAT", 1, 3, 12],
    ["UINT8", 2, 3, 3],
    ["INT8", 3, 3, 3],
    ["UINT16", 4, 3, 6],
    ["INT16", 5, 3, 6],
    ["INT32", 6, 3, 12],
    ["INT64", 7, 3, 24],
    ["BOOL", 9, 3, 3],
    ["FLOAT16", 10, 3, 6],
    ["DOUBLE", 11, 3, 24],
    ["UINT32", 12, 3, 12],
    ["UINT64", 13, 3, 24],
    ["COMPLEX64", 14, 3, 24],
    ["COMPLEX128", 15, 3, 48],
    ["BFLOAT16", 16, 3, 6],
    ["FLOAT8E4M3FN", 17, 3, 3],
    ["FLOAT8E4M3FNUZ", 18, 3, 3],
    ["FLOAT8E5M2", 19, 3, 3],
    ["FLOAT8E5M2FNUZ", 20, 3, 3],
    ["UINT4", 21, 3, 2],
    ["INT4", 22, 4, 2],
    ["FLOAT4E2M1", 23, 5, 3],
    ["FLOAT8E8M0", 24, 3, 3],
    ["UINT2", 25, 5, 2],
    ["INT2", 26, 4, 1],
  ])("of type %s have the width of their type", async (name, type, count, bytes) => {
    const file = modelWith(type, [count], block(9, new Uint8Array(bytes).fill(0xab)))
    const found = await tensorOf(file)
    expect(found).toMatchObject({ name: "w", path: "graph", kind: "initializer", dataType: name })
    expect(found).toMatchObject({ dims: [count], elementCount: count, byteLength: bytes })
    expect(found.storage).toMatchObject({ kind: "raw", length: bytes })
    if (found.storage.kind !== "raw") return
    const { offset } = found.storage
    expect(file.subarray(offset, offset + bytes)).toEqual(new Uint8Array(bytes).fill(0xab))
    for (const wrong of [bytes - 1, bytes + 1])
      await expect(indexOf(modelWith(type, [count], block(9, new Uint8Array(wrong))))).toFailWithCode(
        "ONNX_MALFORMED",
      )
  })
})

describe("values in typed fields", () => {
  it("are located when packed, in one chunk or several", async () => {
    const file = modelWith(TYPE.float, [5], block(4, floats(1, 2)), block(4, floats(3, 4, 5)))
    const { storage } = await tensorOf(file)
    expect(storage).toMatchObject({
      kind: "packed",
      field: "float_data",
      chunks: [{ length: 8 }, { length: 12 }],
    })
    if (storage.kind !== "packed") return
    const view = new DataView(file.buffer)
    expect(storage.chunks.map(({ offset }) => view.getFloat32(offset, true))).toEqual([1, 3])
  })

  it("are located when unpacked: a run of one stride, the value last", async () => {
    const file = modelWith(TYPE.float, [3], float(4, 1), float(4, 2), float(4, 3))
    const { storage } = await tensorOf(file)
    expect(storage).toMatchObject({ kind: "unpacked", field: "float_data", runs: [{ length: 15, count: 3 }] })
    if (storage.kind !== "unpacked") return
    const [run] = storage.runs
    if (run === undefined) throw new Error("no run")
    const stride = run.length / run.count
    const view = new DataView(file.buffer)
    const values = [0, 1, 2].map((i) => view.getFloat32(run.offset + (i + 1) * stride - 4, true))
    expect(values).toEqual([1, 2, 3])
  })

  it("start a new run where the stride changes or another field stands between", async () => {
    const longTag = join(Uint8Array.of(0xa5, 0x00), floats(2))
    const file = modelWith(TYPE.float, [4], float(4, 1), longTag, float(4, 3), block(12, "doc"), float(4, 4))
    expect((await tensorOf(file)).storage).toMatchObject({
      kind: "unpacked",
      runs: [
        { length: 5, count: 1 },
        { length: 6, count: 1 },
        { length: 5, count: 1 },
        { length: 5, count: 1 },
      ],
    })
  })

  it("of varying length make one run", async () => {
    const file = modelWith(TYPE.int64, [3], int(7, 1), int(7, -1), int(7, 300))
    expect((await tensorOf(file)).storage).toMatchObject({
      kind: "unpacked",
      field: "int64_data",
      runs: [{ length: 2 + 11 + 3, count: 3 }],
    })
  })

  it("are as many as the type asks for", async () => {
    const nine = block(5, new Uint8Array(9))
    const right: readonly Bytes[] = [
      modelWith(TYPE.float16, [9], nine),
      modelWith(22, [18], nine), // INT4: two to a value
      modelWith(26, [35], nine), // INT2: four to a value
      modelWith(14, [2], block(4, floats(1, 2, 3, 4))), // COMPLEX64: two floats each
      modelWith(15, [1], double(10, 1), double(10, 2)),
      modelWith(TYPE.uint64, [2], block(11, varint(2n ** 64n - 1n), varint(0))),
    ]
    for (const file of right) expect((await tensorOf(file)).elementCount).toBeGreaterThan(0)
    const wrong: readonly Bytes[] = [
      modelWith(TYPE.float16, [10], nine), // more values than bytes
      modelWith(TYPE.float16, [0], nine),
      modelWith(TYPE.uint8, [1], block(5, new Uint8Array(11).fill(0x80))), // above ten bytes each
      modelWith(TYPE.float, [2], float(4, 1)),
      modelWith(TYPE.float, [2], block(4, floats(1))),
      modelWith(TYPE.float, [1], block(4, Uint8Array.of(1, 2, 3))),
      modelWith(TYPE.int64, [2], int(7, 1), int(7, 2), int(7, 3)),
    ]
    for (const file of wrong) await expect(indexOf(file)).toFailWithCode("ONNX_MALFORMED")
  })

  it("must be in the field of their type", async () => {
    for (const file of [
      modelWith(TYPE.float, [1], int(5, 1)),
      modelWith(TYPE.int64, [1], int(11, 1)),
      modelWith(TYPE.double, [1], float(4, 1)),
      modelWith(TYPE.float, [1], block(6, "one")),
    ])
      await expect(indexOf(file)).toFailWithCode("ONNX_MALFORMED")
  })

  it("may not be split into thousands of pieces", async () => {
    const pieces = Array.from({ length: 5000 }, () => block(4, floats(1)))
    await expect(indexOf(modelWith(TYPE.float, [5000], ...pieces))).toFailWithCode("ONNX_MALFORMED")
  })
})

describe("a tensor", () => {
  it("without elements has no place", async () => {
    for (const fields of [[], [block(9)], [block(4)]])
      expect(await tensorOf(modelWith(TYPE.float, [0, 2 ** 40, 2 ** 40], ...fields))).toMatchObject({
        elementCount: 0,
        byteLength: 0,
        storage: { kind: "empty" },
      })
  })

  it("of rank 0 has one element", async () => {
    expect(await tensorOf(modelWith(TYPE.float, [], block(9, floats(1))))).toMatchObject({
      dims: [],
      elementCount: 1,
    })
  })

  it("may give its dims packed", async () => {
    const file = model(block(5, block(1, varint(2), varint(3)), int(2, 1), block(9, new Uint8Array(24))))
    expect((await tensorOf(file)).dims).toEqual([2, 3])
  })

  it("of texts has their number and bytes", async () => {
    const file = modelWith(TYPE.string, [2], block(6, "ab"), block(6, Uint8Array.of(0xff)))
    expect(await tensorOf(file)).toMatchObject({
      dataType: "STRING",
      elementCount: 2,
      byteLength: 3,
      storage: { kind: "string" },
    })
  })

  const raw = block(9, new Uint8Array(4))
  const cases: readonly (readonly [string, Bytes])[] = [
    ["of unknown type", modelWith(27, [1], raw)],
    ["of undefined type", modelWith(0, [1], raw)],
    ["of no type", model(block(5, int(1, 1), raw))],
    ["of negative size", modelWith(TYPE.float, [-1], raw)],
    ["of negative size hidden by a zero", modelWith(TYPE.float, [0, -1])],
    ["of more than 2^53 elements", modelWith(TYPE.float, [2 ** 32, 2 ** 32], raw)],
    ["of more than 2^53 bytes", modelWith(TYPE.double, [2 ** 51], raw)],
    ["of a size beyond 2^53", model(block(5, int(1, 2n ** 62n), int(2, 1), raw))],
    ["of 65 sizes", modelWith(TYPE.float, Array<number>(65).fill(1), raw)],
    ["of 65 packed sizes", model(block(5, block(1, new Uint8Array(65).fill(1)), int(2, 1), raw))],
    ["without values", modelWith(TYPE.float, [1])],
    ["with values twice", modelWith(TYPE.float, [1], raw, block(4, floats(1)))],
    ["with raw values twice", modelWith(TYPE.float, [1], raw, raw)],
    ["with values in two fields", modelWith(TYPE.float, [2], float(4, 1), int(5, 1))],
    ["both packed and unpacked", modelWith(TYPE.float, [2], block(4, floats(1)), float(4, 1))],
    ["in segments", modelWith(TYPE.float, [1], raw, block(3, int(1, 0), int(2, 1)))],
    ["in an unknown place", modelWith(TYPE.float, [1], raw, int(14, 2))],
    ["of too few texts", modelWith(TYPE.string, [2], block(6, "a"))],
    ["of texts in raw_data", modelWith(TYPE.string, [1], block(6, "a"), raw)],
    ["of texts in an external file", modelWith(TYPE.string, [1], block(6, "a"), int(14, 1))],
  ]
  it.each(cases)("is refused %s", async (_, file) => {
    await expect(indexOf(file)).toFailWithCode("ONNX_MALFORMED")
  })
})

describe("a sparse initializer", () => {
  const values = tensor("s", TYPE.float, [2], block(9, floats(1, 2)))
  const indices = tensor("", TYPE.int64, [2], block(7, varint(0), varint(7)))

  it("gives its values and its indices", async () => {
    const { tensors, parameterCount } = await indexOf(
      model(block(15, block(1, values), block(2, indices), int(3, 3), int(3, 3))),
    )
    expect(tensors).toMatchObject([
      { name: "s", kind: "sparse", path: "graph", elementCount: 2 },
      { name: "s", kind: "sparse-indices", path: "graph", dataType: "INT64" },
    ])
    expect(parameterCount).toBe(2)
  })

  it("is refused without a part or with an impossible shape", async () => {
    for (const sparse of [
      block(15, block(1, values)),
      block(15, block(2, indices)),
      block(15, block(1, values), block(2, indices), int(3, -1)),
      block(15, block(1, values), block(2, indices), int(3, 2 ** 40), int(3, 2 ** 40)),
    ])
      await expect(indexOf(model(sparse))).toFailWithCode("ONNX_MALFORMED")
  })
})

it("unpacked texts and tags of two bytes do not confuse the walk", async () => {
  const file = modelWith(TYPE.float, [1], join(tag(500, 2), varint(3), "abc"), block(9, floats(7)))
  expect((await tensorOf(file)).elementCount).toBe(1)
})
