import { describe, expect, it } from "vitest"
import { match } from "../../../main/core/onnx/recognise.ts"
import { corpusFile, indexOf, model, node } from "../../support/onnx-models.ts"
import { block, int, join, type Bytes } from "../../support/protobuf.ts"

describe("what is no model", () => {
  const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13)
  const tflite = join(Uint8Array.of(0x1c, 0, 0, 0), "TFL3", new Uint8Array(24))
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ["a PNG", png],
    ["a zip", join("PK", Uint8Array.of(3, 4, 20, 0, 0, 0, 8, 0))],
    ["a gzip", Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0)],
    ["a BMP", join("BM", new Uint8Array(80))],
    ["an ELF program", join(Uint8Array.of(0x7f), "ELF", new Uint8Array(60))],
    ["a TFLite model", tflite],
    ["an .npy array", corpusFile("../data/digits-eval-y.npy")],
    ["an age file", Buffer.from("age-encryption.org/v1\n-> X25519 abc\n")],
    ["JSON", Buffer.from('{"model": "onnx", "version": 8}')],
    ["a poem that starts like a doc string", Buffer.from("2: two roads diverged in a yellow wood")],
    ["zeros", new Uint8Array(1000)],
    ["a single byte", Uint8Array.of(0x08)],
    ["a TensorFlow graph", join(block(1, block(1, "node")), block(4, int(1, 26)))],
    ["a TensorFlow SavedModel", join(int(1, 1), block(2, block(1, "meta graph")))],
    ["a protobuf without an IR version", join(block(7), block(8, int(2, 17)))],
    ["a protobuf without a graph", join(int(1, 8), block(8, int(2, 17)))],
    ["a protobuf of IR version 0", join(int(1, 0), block(7), block(8, int(2, 17)))],
    ["a protobuf of a giant IR version", join(int(1, 1000), block(7), block(8, int(2, 17)))],
    ["a protobuf of a negative IR version", join(int(1, -1), block(7), block(8, int(2, 17)))],
    ["external weights of a model", corpusFile("fashion-cnn-external.bin")],
  ]
  it.each(cases)("is named so: %s", async (_, bytes) => {
    await expect(indexOf(bytes)).toFailWithCode("ONNX_NOT_A_MODEL")
  })

  it.each(cases.filter(([name]) => !/SavedModel|without a graph/.test(name)))(
    "is not matched by its head: %s",
    (_, bytes) => {
      expect(match(bytes.subarray(0, 64))).toBe(false)
    },
  )

  it("is random bytes, whatever they are", async () => {
    let state = 1
    for (let round = 0; round < 500; round += 1) {
      const noise = new Uint8Array(64).map(() => (state = (Math.imul(state, 1103515245) + 12345) | 0) >>> 16)
      if (noise[0] === 8) continue // one file in 256 starts like an IR version
      expect(match(noise)).toBe(false)
      await expect(indexOf(noise)).toFailWithCode("ONNX_NOT_A_MODEL")
    }
  })
})

describe("a model", () => {
  it("is matched by its first bytes, and never throws when there are fewer", () => {
    const head = corpusFile("fashion-cnn.onnx").subarray(0, 8)
    for (let size = 0; size <= head.length; size += 1) expect(match(head.subarray(0, size))).toBe(size >= 2)
  })

  it("may have its fields in any order", async () => {
    const graph = block(7, node("Relu", ["y"]))
    const orders: readonly (readonly Bytes[])[] = [
      [graph, block(8, int(2, 17)), int(1, 8)],
      [block(8, int(2, 17)), int(1, 8), graph],
    ]
    for (const order of orders) expect((await indexOf(join(...order))).nodeCount).toBe(1)
  })

  it("is empty when its file is", async () => {
    await expect(indexOf(new Uint8Array())).toFailWithCode("ONNX_EMPTY")
  })

  it("needs an operator set from IR version 3 on", async () => {
    await expect(indexOf(join(int(1, 3), block(7)))).toFailWithCode("ONNX_MALFORMED")
    expect((await indexOf(join(int(1, 2), block(7)))).operatorSets).toEqual([])
  })

  it("with bytes behind its end is malformed or cut, never a model", async () => {
    await expect(indexOf(join(model(), Uint8Array.of(0)))).toFailWithCode("ONNX_MALFORMED")
    await expect(indexOf(join(model(), Uint8Array.of(0x0a)))).toFailWithCode("ONNX_MALFORMED")
    await expect(indexOf(join(model(), Uint8Array.of(0xff)))).toFailWithCode("ONNX_TRUNCATED")
  })
})
