import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { AppError } from "../../../main/contract/errors.ts"
import { sourceOf, type ByteSource } from "../../../main/core/bytes/source.ts"
import { readModelIndex, type ModelGraph } from "../../../main/core/onnx/model-index.ts"
import { match } from "../../../main/core/onnx/recognise.ts"
import { attribute, corpusFile, graphOf, indexOf, model, node, TYPE } from "../../support/onnx-models.ts"
import { block, float, int, join, tag, varint, type Bytes } from "../../support/protobuf.ts"

const small = [
  "wine-linear.onnx",
  "diabetes-mlp.onnx",
  "cancer-mlp.onnx",
  "fashion-cnn-external.onnx",
  "digits-mlp.onnx",
  "mnist-ms.onnx",
]

describe("a model cut at every byte", () => {
  /**
   * A ModelProto has no end mark and no length. Cut between two fields behind the graph and the first operator set, it is
   * a complete ModelProto, and no reader can know better; anywhere else it must be refused.
   */
  it.each(small)("is refused wherever it is not complete: %s", async (name) => {
    const bytes = corpusFile(name)
    const fields = topLevel(bytes)
    let accepted = 0
    for (let size = 0; size < bytes.length; size += 1) {
      const whole = fields.filter((field) => field.end <= size)
      const isBoundary = size === 0 || fields.some((field) => field.end === size)
      const has = (number: number): boolean => whole.some((field) => field.number === number)
      const expected =
        size === 0
          ? "ONNX_EMPTY"
          : !isBoundary
            ? has(1)
              ? "ONNX_TRUNCATED"
              : "ONNX_NOT_A_MODEL"
            : !has(7)
              ? "ONNX_NOT_A_MODEL"
              : has(8)
                ? null
                : "ONNX_MALFORMED"
      const outcome = await outcomeOf(bytes.subarray(0, size))
      if (expected === null) accepted += 1
      expect(outcome instanceof AppError ? outcome.code : null, `cut at ${size}`).toBe(expected)
    }
    expect(accepted).toBeLessThanOrEqual(fields.length)
  })

  it.each(["wine-linear.onnx", "fashion-cnn-external.onnx", "silero-like"])(
    "inside its graph has a code or an index: %s",
    async (name) => {
      const graph = name === "silero-like" ? nestedGraph() : graphOfFile(name)
      let refused = 0
      for (let size = 0; size < graph.length; size += 1) {
        const outcome = await outcomeOf(model(Uint8Array.from(graph.subarray(0, size))))
        if (outcome instanceof AppError) {
          refused += 1
          expect(outcome.code, `cut at ${size}`).toBe("ONNX_MALFORMED")
        }
      }
      expect(refused).toBeGreaterThan(0.9 * graph.length)
    },
  )
})

describe("a damaged model", () => {
  it.each([...small, "silero_vad_16k_op15.onnx", "superres_prepost_op18.onnx"])(
    "with flipped bits has a code or an index that lies in the file: %s",
    async (name) => {
      const original = corpusFile(name)
      const header = Math.min(original.length, 20_000) // payloads are never looked at: a flip there tests nothing
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(header - 1), fc.nat(7)), { minLength: 1, maxLength: 4 }),
          async (flips) => {
            const bytes = Uint8Array.from(original)
            for (const [at, bit] of flips) bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
            expect(typeof match(bytes.subarray(0, 64))).toBe("boolean")
            const outcome = await outcomeOf(bytes)
            if (!(outcome instanceof AppError)) checkIndex(outcome, bytes.length)
          },
        ),
        { seed: 20260101, numRuns: 400 },
      )
    },
  )

  it("of random fields has a code or an index", async () => {
    const field = fc.oneof(
      fc.tuple(fc.nat(31), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })).map(([n, v]) => int(n + 1, v)),
      fc.tuple(fc.nat(31), fc.uint8Array({ maxLength: 40 })).map(([n, b]) => block(n + 1, b)),
      fc.tuple(fc.nat(31), fc.float()).map(([n, v]) => float(n + 1, v)),
    )
    const message = fc.array(field, { maxLength: 8 }).map((fields) => join(...fields))
    const nested = fc.tuple(fc.constantFrom(1, 5, 11, 15), message).map(([n, m]) => block(n, m))
    await fc.assert(
      fc.asyncProperty(fc.array(nested, { maxLength: 6 }), async (graph) => {
        const bytes = model(...graph)
        const outcome = await outcomeOf(bytes)
        if (!(outcome instanceof AppError)) checkIndex(outcome, bytes.length)
      }),
      { seed: 7, numRuns: 3000 },
    )
  })
})

describe("a hostile model", () => {
  it("of subgraphs in subgraphs is refused at a depth", async () => {
    const accepted = await outcomeOf(model(deepGraph(30)))
    expect(accepted).not.toBeInstanceOf(AppError)
    for (const depth of [40, 500]) {
      const bytes = model(deepGraph(depth))
      await expect(indexOf(bytes)).toFailWithCode("ONNX_MALFORMED")
    }
  })

  it("of types in types is refused at a depth", async () => {
    let type = block(1, int(1, 1))
    for (let i = 0; i < 3000; i += 1) type = block(4, block(1, type))
    await expect(indexOf(model(block(11, block(2, type))))).toFailWithCode("ONNX_MALFORMED")
  })

  it("of tiny tensors is refused before it fills the memory", async () => {
    const tiny = block(5, int(1, 0), int(2, 1))
    const graph = Buffer.alloc(tiny.length * 1_100_000, tiny)
    await expect(indexOf(model(Uint8Array.from(graph)))).toFailWithCode("ONNX_MALFORMED")
  })

  it("of millions of numbers in one attribute takes no memory for them", async () => {
    const number = float(7, 1)
    const floats = Uint8Array.from(Buffer.alloc(number.length * 10_000_000, number))
    const forest = model(node("Forest", ["y"], [attribute("values", 6, floats)]))
    const before = process.memoryUsage().heapUsed
    const { nodes } = await graphOf(forest)
    expect(nodes[0]?.attributes[0]?.value).toEqual({ kind: "floats", count: 10_000_000, values: null })
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(40e6)
  })

  it("that claims more elements than it has bytes is refused before anything is allocated", async () => {
    const claims: readonly Bytes[] = [
      model(block(5, int(1, 2 ** 50), int(2, TYPE.int8), block(9, "x"))),
      model(block(5, int(1, 2 ** 40), int(2, TYPE.float), tag(4, 2), varint(2n ** 42n))),
      model(node("A", ["y"], [attribute("x", 6, join(tag(7, 2), varint(2n ** 40n)))])),
    ]
    for (const bytes of claims) await expect(indexOf(bytes)).toFailWithCode("ONNX_MALFORMED")
  })
})

describe("a model of more than 2 GiB", () => {
  it("is indexed without reading its weights", async () => {
    const elements = 1_500_000_000
    const head = join(int(1, elements), int(2, TYPE.float), block(8, "big"), tag(9, 2), varint(4 * elements))
    const tensor = join(tag(5, 2), varint(head.length + 4 * elements), head)
    const after = block(5, int(1, 1), int(2, TYPE.float), block(8, "last"), block(9, new Uint8Array(4)))
    const start = join(int(1, 8), tag(7, 2), varint(tensor.length + 4 * elements + after.length), tensor)
    const source = sparseSource(start, 4 * elements, join(after, block(8, int(2, 17))))

    const { tensors } = await readModelIndex(source)
    expect(tensors).toMatchObject([
      { name: "big", elementCount: elements, byteLength: 4 * elements },
      { name: "last", storage: { kind: "raw", length: 4 } },
    ])
    const [big, last] = tensors.map(({ storage }) => (storage.kind === "raw" ? storage.offset : -1))
    expect(big).toBe(start.length)
    expect(last).toBe(start.length + 4 * elements + after.length - 4)
    expect(source.bytesRead()).toBeLessThan(64 * 1024)
  })

  it("is cut when its file is a byte short", async () => {
    const start = join(int(1, 8), tag(7, 2), varint(5e9))
    await expect(readModelIndex(sparseSource(start, 5e9 - 1, new Uint8Array()))).toFailWithCode(
      "ONNX_TRUNCATED",
    )
  })
})

/** An index of either kind, or the error. Anything but an AppError of this reader ends the test. */
async function outcomeOf(bytes: Uint8Array): Promise<ModelGraph | AppError> {
  try {
    return await graphOf(bytes)
  } catch (error) {
    if (error instanceof AppError && error.code.startsWith("ONNX_")) return error
    throw error
  }
}

function checkIndex({ tensors }: ModelGraph, fileSize: number): void {
  for (const { storage, byteLength, elementCount, dims } of tensors) {
    expect(Number.isSafeInteger(elementCount) && Number.isSafeInteger(byteLength)).toBe(true)
    expect(dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)).toBe(true)
    const spans =
      storage.kind === "raw"
        ? [storage]
        : storage.kind === "packed"
          ? storage.chunks
          : storage.kind === "unpacked"
            ? storage.runs
            : []
    for (const { offset, length } of spans) {
      expect(offset).toBeGreaterThan(0)
      expect(offset + length).toBeLessThanOrEqual(fileSize)
    }
    if (storage.kind === "raw" || storage.kind === "external") expect(storage.length).toBe(byteLength)
  }
}

/** Number and end of every field of a ModelProto; written apart from the reader under test. */
function topLevel(bytes: Uint8Array): readonly { readonly number: number; readonly end: number }[] {
  const fields: { number: number; end: number }[] = []
  let at = 0
  const next = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at] ?? 0
      at += 1
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }
  while (at < bytes.length) {
    const key = next()
    const value = next() // no fixed-width field stands at the top level of the corpus
    if (key % 8 === 2) at += value
    fields.push({ number: Math.floor(key / 8), end: at })
  }
  return fields
}

function graphOfFile(name: string): Uint8Array {
  const bytes = corpusFile(name)
  const fields = topLevel(bytes)
  const index = fields.findIndex((field) => field.number === 7)
  const start = fields[index - 1]?.end ?? 0
  const end = fields[index]?.end ?? 0
  const lengthBytes = bytes.subarray(start + 1).findIndex((byte) => byte < 0x80) + 1
  return bytes.subarray(start + 1 + lengthBytes, end)
}

function nestedGraph(): Uint8Array {
  const weights = block(5, int(1, 2), int(2, 1), float(4, 1), float(4, 2), block(8, "w"))
  const inner = block(
    6,
    weights,
    node("Constant", ["c"], [attribute("value_ints", 7, int(8, 5), int(8, -5))]),
  )
  return node("If", ["y"], [attribute("then_branch", 5, inner), attribute("else_branch", 5, inner)])
}

function deepGraph(depth: number): Bytes {
  let graph: Bytes = block(2, "innermost")
  for (let i = 0; i < depth; i += 1) graph = node("If", [], [attribute("g", 5, block(6, graph))])
  return graph
}

/** A file that is zeros but for its start and its end. */
function sparseSource(
  start: Uint8Array,
  zeros: number,
  end: Uint8Array,
): ByteSource & { readonly bytesRead: () => number } {
  const tail = sourceOf(end)
  let bytesRead = 0
  return {
    size: start.length + zeros + end.length,
    bytesRead: () => bytesRead,
    read: async (offset, length) => {
      bytesRead += length
      const out = new Uint8Array(length)
      if (offset < start.length) out.set(start.subarray(offset, offset + length))
      const tailAt = start.length + zeros
      const from = Math.max(offset, tailAt)
      if (offset + length > from)
        out.set(await tail.read(from - tailAt, offset + length - from), from - offset)
      return out
    },
  }
}
