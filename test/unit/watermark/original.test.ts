import path from "node:path"
import { describe, expect, test } from "vitest"
import { sourceOf, type ByteSource } from "../../../main/core/bytes/source.ts"
import { toFloat16 } from "../../../main/core/bytes/float16.ts"
import {
  measureOriginal,
  readCanonical,
  readWholeCanonical,
  rowIndex,
  type OriginalTensor,
} from "../../../main/core/watermark/original.ts"
import { block, int, join, varint, type Bytes } from "../../support/protobuf.ts"
import { attribute, corpusFile, graphOf, model, tensor, TYPE } from "../../support/onnx-models.ts"

const filesOf =
  (bytes: Uint8Array) =>
  (location: string | null): ByteSource =>
    sourceOf(location === null ? bytes : corpusFile(path.basename(location)))

async function measured(bytes: Uint8Array) {
  return measureOriginal(await graphOf(bytes), filesOf(bytes))
}

describe("of real models", () => {
  test.each([
    ["fashion-cnn.onnx", 4, 94_272],
    ["fashion-cnn-external.onnx", 4, 94_272],
    ["fashion-cnn-int8-qdq.onnx", 4, 93_207],
    ["fashion-resnet.onnx", 12, 382_912],
    ["fashion-vit.onnx", 14, 67_200],
    ["mnist-ms.onnx", 3, 5960],
    ["silero_vad.onnx", 12, 276_798],
    ["cancer-forest.onnx", 0, 0],
  ])("%s has %i tensors that can carry the mark", async (name, count, live) => {
    const { tensors } = await measured(corpusFile(name))
    expect(tensors.length).toBe(count)
    expect(tensors.reduce((sum, found) => sum + found.live, 0)).toBe(live)
  })

  test("external data gives the same canonical content as the same weights inside the model", async () => {
    const inside = await measured(corpusFile("fashion-cnn.onnx"))
    const outside = await measured(corpusFile("fashion-cnn-external.onnx"))
    expect(outside.tensors.map(({ hash }) => hash)).toEqual(inside.tensors.map(({ hash }) => hash))
  })

  test("every weight left out has a reason", async () => {
    const { skipped } = await measured(corpusFile("yunet_n_320_320.onnx"))
    const reasons = new Set(skipped.map(({ why }) => why))
    expect(reasons).toEqual(
      new Set(["bias, scale or vector", "depthwise convolution", "fan-in of 9, below 16"]),
    )
  })

  test("a row of an int8 model has nearly the spread of the float row it was made from", async () => {
    const [float] = (await measured(corpusFile("fashion-mlp.onnx"))).tensors
    expect(float?.form).toBe("float")
    const folded = (await measured(corpusFile("fashion-resnet.onnx"))).tensors
    const quantised = (await measured(corpusFile("fashion-resnet-int8-qdq.onnx"))).tensors
    folded.forEach((tensor, index) => {
      const other = quantised[index]
      expect(other?.form).toBe("quantised")
      tensor.sigmas.forEach((sigma, row) => {
        // Equal only because the batch norm's factor is part of the canonical form.
        if (sigma > 0) expect((other?.sigmas[row] ?? 0) / sigma).toBeCloseTo(1, 1)
      })
    })
  })
})

const VALUES = Float32Array.from({ length: 40 }, (_, i) => Math.fround(Math.sin(i * 1.7) / 3))
const RAW = new Uint8Array(VALUES.buffer)

/** A model whose only layer is a MatMul with the weight "w" of shape [20, 2]. */
function matMul(...weight: readonly Bytes[]): Bytes {
  const layer = block(1, block(1, "x"), block(1, "w"), block(2, "y"), block(4, "MatMul"))
  return model(layer, ...weight, block(11, block(1, "x")), block(12, block(1, "y")))
}

function initializer(type: number, ...fields: readonly Bytes[]): Bytes {
  return block(5, tensor("w", type, [20, 2], ...fields))
}

async function only(bytes: Bytes): Promise<OriginalTensor> {
  const { tensors, skipped } = await measured(bytes)
  const [found] = tensors
  if (found === undefined) throw new Error(skipped.map(({ why }) => why).join("; "))
  return found
}

describe("of one weight in every form", () => {
  test.each([
    ["raw_data", initializer(TYPE.float, block(9, RAW))],
    ["packed float_data", initializer(TYPE.float, block(4, RAW))],
    [
      "float_data packed in two pieces",
      initializer(TYPE.float, block(4, RAW.subarray(0, 60)), block(4, RAW.subarray(60))),
    ],
    [
      "unpacked float_data",
      initializer(
        TYPE.float,
        ...Array.from(VALUES, (_, i) => join(Uint8Array.of((4 << 3) | 5), RAW.subarray(4 * i, 4 * i + 4))),
      ),
    ],
    [
      "a Constant node",
      block(
        1,
        block(2, "w"),
        block(4, "Constant"),
        attribute("value", 4, block(5, tensor("t", TYPE.float, [20, 2], block(9, RAW)))),
      ),
    ],
  ])("%s is read alike", async (_, weight) => {
    const found = await only(matMul(weight))
    expect(found.rowAxis).toBe(1)
    expect([...(await readWholeCanonical(found, filesOf(matMul(weight))))]).toEqual([...VALUES])
    expect(found.hash).toBe((await only(matMul(initializer(TYPE.float, block(9, RAW))))).hash)
  })

  test("float16 in int32_data, packed or not, is read like float16 in raw_data", async () => {
    const halves = Uint16Array.from(VALUES, toFloat16)
    const raw = await only(matMul(initializer(TYPE.float16, block(9, new Uint8Array(halves.buffer)))))
    const varints = Array.from(halves, (half) => varint(half))
    const one = await only(matMul(initializer(TYPE.float16, block(5, ...varints))))
    const single = await only(
      matMul(initializer(TYPE.float16, ...Array.from(halves, (half) => int(5, half)))),
    )
    expect(one.hash).toBe(raw.hash)
    expect(single.hash).toBe(raw.hash)
  })

  test("weights of identical content are one tensor in two places", async () => {
    const second = block(1, block(1, "y"), block(1, "v"), block(2, "z"), block(4, "MatMul"))
    const bytes = model(
      block(1, block(1, "x"), block(1, "w"), block(2, "y"), block(4, "MatMul")),
      second,
      initializer(TYPE.float, block(9, RAW)),
      block(5, tensor("v", TYPE.float, [20, 2], block(9, RAW))),
    )
    const { tensors } = await measured(bytes)
    expect(tensors.map(({ places }) => places.map((place) => place.tensor.name))).toEqual([["w", "v"]])
  })

  test.each([
    ["NaN", Number.NaN],
    ["infinity", Number.POSITIVE_INFINITY],
  ])("a weight with %s carries nothing, and says so", async (_, value) => {
    const { tensors, skipped } = await measured(
      matMul(initializer(TYPE.float, block(9, new Uint8Array(VALUES.with(7, value).buffer)))),
    )
    expect(tensors).toEqual([])
    expect(skipped.map(({ why }) => why)).toEqual(["holds NaN or infinite values"])
  })

  test.each([
    ["zeros", 0],
    ["one constant", 0.1],
  ])("a weight of %s carries nothing, and says so", async (_, value) => {
    const { tensors, skipped } = await measured(
      matMul(initializer(TYPE.float, block(9, new Uint8Array(VALUES.map(() => value).buffer)))),
    )
    expect(tensors).toEqual([])
    expect(skipped.map(({ why }) => why)).toEqual(["all rows are constant"])
  })

  test("zeros in a live row are not counted as carriers", async () => {
    const sparse = VALUES.map((value, i) => (i % 4 === 0 ? 0 : value))
    expect((await only(matMul(initializer(TYPE.float, block(9, new Uint8Array(sparse.buffer)))))).live).toBe(
      30,
    )
  })
})

test("pieces of a tensor follow each other without a gap, and every element belongs to a row of its layer", async () => {
  const bytes = corpusFile("fashion-mlp.onnx")
  const [tensor] = (await measured(bytes)).tensors
  if (tensor === undefined) throw new Error("there is a weight")
  let next = 0
  for await (const { first, values } of readCanonical(tensor, filesOf(bytes))) {
    expect(first).toBe(next)
    next += values.length
  }
  expect(next).toBe(tensor.elementCount)
  expect([0, 783, 784].map(rowIndex({ dims: [128, 784], rowAxis: 0 }))).toEqual([0, 0, 1])
  expect([0, 1, 129].map(rowIndex({ dims: [784, 128], rowAxis: 1 }))).toEqual([0, 1, 1])
  expect([0, 3, 4, 15].map(rowIndex({ dims: [2, 3, 4], rowAxis: 1 }))).toEqual([0, 0, 1, 0])
})
