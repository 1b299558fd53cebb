import { readFileSync } from "node:fs"
import path from "node:path"
import { InferenceSession, Tensor } from "onnxruntime-node"
import { describe, expect, it } from "vitest"
import { isWeight } from "../../../main/core/onnx/model-index.ts"
import { match } from "../../../main/core/onnx/recognise.ts"
import type { ValueInfo } from "../../../main/core/onnx/value-type.ts"
import type { TensorEntry } from "../../../main/core/onnx/walk.ts"
import { CORPUS, corpusFile, graphOf, indexOf } from "../../support/onnx-models.ts"

interface Value {
  readonly name: string
  readonly type: string
  /** "?" is a size nobody knows. */
  readonly shape: readonly (number | string)[]
}

interface Model {
  readonly file: string
  readonly bytes: number
  readonly ir: number
  readonly opset: Readonly<Record<string, number>>
  readonly params: number
  readonly weight_tensors: number
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
}

const manifest: { readonly models: readonly Model[] } = JSON.parse(
  readFileSync(path.join(CORPUS, "manifest.json"), "utf8"),
)
const models = manifest.models.map((entry) => [path.basename(entry.file), entry] as const)

describe("a real model", () => {
  it.each(models)("%s is what its manifest says", async (name, entry) => {
    const bytes = corpusFile(name)
    const index = await indexOf(bytes)
    expect(match(bytes.subarray(0, 16))).toBe(true)
    expect(index.irVersion).toBe(entry.ir)
    expect(
      Object.fromEntries(index.operatorSets.map(({ domain, version }) => [domain || "ai.onnx", version])),
    ).toEqual(entry.opset)
    expect(index.inputs.map(toManifest)).toEqual(entry.inputs)
    expect(index.outputs.map(toManifest)).toEqual(entry.outputs)
    expect(index.parameterCount).toBe(entry.params)
    expect(index.tensors.filter(isWeight).length).toBe(entry.weight_tensors)
    checkPlaces(index.tensors, bytes.length)
  })

  it.each(models)("%s has the same index with its nodes", async (name) => {
    const bytes = corpusFile(name)
    const { nodes, graphs, ...index } = await graphOf(bytes)
    expect(index).toEqual(await indexOf(bytes))
    expect(nodes.length).toBe(index.nodeCount)
    expect(new Set(nodes.map((node) => `${node.path} ${node.index}`)).size).toBe(nodes.length)
    // Every name a node reads is written by a node, a tensor or an input of the model or a subgraph.
    const written = new Set([
      "",
      ...nodes.flatMap((node) => node.outputs),
      ...graphs.flatMap((graph) => graph.inputs),
      ...index.tensors.map((tensor) => tensor.name),
    ])
    expect(nodes.flatMap((node) => node.inputs).filter((input) => !written.has(input))).toEqual([])
  })
})

describe("weights", () => {
  it("are the same whether inline or in a file of their own", async () => {
    for (const name of ["fashion-cnn", "fashion-resnet"]) {
      const inline = await valuesByName(`${name}.onnx`)
      const outside = await valuesByName(`${name}-external.onnx`)
      expect([...outside.keys()].sort()).toEqual([...inline.keys()].sort())
      for (const [tensor, values] of inline) expect(outside.get(tensor)).toEqual(values)
    }
  })

  it("patched at their place change what onnxruntime computes, and nothing else", async () => {
    const bytes = Uint8Array.from(corpusFile("fashion-mlp.onnx"))
    const { nodes, tensors } = await graphOf(bytes)
    const bias = nodes.findLast(({ opType }) => opType === "Gemm")?.inputs[2]
    const storage = tensors.find(({ name }) => name === bias)?.storage
    if (storage?.kind !== "raw") throw new Error("no raw bias")
    const before = await logits(bytes)
    const view = new DataView(bytes.buffer)
    const third = storage.offset + 3 * 4
    view.setFloat32(third, view.getFloat32(third, true) + 1, true)
    const after = await logits(bytes)
    expect(after.map((value, i) => Math.round((value - (before[i] ?? 0)) * 1e4) / 1e4)).toEqual([
      0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
    ])
  })

  it("are found inside the branches of an If", async () => {
    const { tensors } = await indexOf(corpusFile("silero_vad.onnx"))
    const paths = new Set(tensors.filter(isWeight).map((tensor) => tensor.path))
    expect([...paths].sort()).toEqual(["graph/node[2:If].else_branch", "graph/node[2:If].then_branch"])
    expect(tensors.filter(({ path }) => path === "graph").length).toBe(1)
  })

  it("of an old exporter stand in packed float_data", async () => {
    const { tensors } = await indexOf(corpusFile("mnist-ms.onnx"))
    const weights = tensors.filter(isWeight)
    expect(weights.map(({ storage }) => storage.kind)).toEqual(Array(6).fill("packed"))
    for (const { storage, byteLength } of weights)
      expect(storage).toMatchObject({ field: "float_data", chunks: [{ length: byteLength }] })
  })
})

describe("custom domains", () => {
  it("are those of used operators alone, not of unused imports", async () => {
    expect((await indexOf(corpusFile("ultraface-RFB-320.onnx"))).customDomains).toEqual([])
    expect((await indexOf(corpusFile("superres_prepost_op18.onnx"))).customDomains).toEqual([
      "com.microsoft.extensions",
    ])
  })
})

describe("nodes", () => {
  it("of a tree ensemble keep only the counts of their long lists", async () => {
    const { nodes } = await graphOf(corpusFile("cancer-forest.onnx"))
    const trees = nodes.find((node) => node.opType === "TreeEnsembleClassifier")
    expect(trees?.domain).toBe("ai.onnx.ml")
    const lists = trees?.attributes.filter(({ value }) => value.kind === "floats" && value.count > 256)
    expect(lists?.length).toBeGreaterThan(0)
    for (const { value } of lists ?? []) expect(value).toMatchObject({ values: null })
  })

  it("of a network keep their attributes", async () => {
    const { nodes, producerName, graphName } = await graphOf(corpusFile("fashion-cnn.onnx"))
    expect([producerName, graphName].every((text) => text.length > 0)).toBe(true)
    const convolution = nodes.find((node) => node.opType === "Conv")
    expect(convolution?.inputs.length).toBeGreaterThanOrEqual(2)
    expect(convolution?.attributes).toContainEqual({
      name: "kernel_shape",
      value: { kind: "ints", count: 2, values: [3, 3] },
    })
  })
})

function toManifest({ name, type }: ValueInfo): Value {
  if (type.kind !== "tensor") throw new Error(`${name} is a ${type.kind}`)
  return { name, type: type.elementType.toLowerCase(), shape: (type.shape ?? []).map((dim) => dim ?? "?") }
}

/** Values lie inside the file and no two tensors share a byte. */
function checkPlaces(tensors: readonly TensorEntry[], fileSize: number): void {
  const spans = tensors.flatMap(({ storage }) =>
    storage.kind === "raw"
      ? [storage]
      : storage.kind === "packed"
        ? storage.chunks
        : storage.kind === "unpacked"
          ? storage.runs
          : [],
  )
  let end = 0
  for (const span of [...spans].sort((a, b) => a.offset - b.offset)) {
    expect(span.offset).toBeGreaterThanOrEqual(end)
    end = span.offset + span.length
  }
  expect(end).toBeLessThanOrEqual(fileSize)
}

async function logits(bytes: Uint8Array): Promise<readonly number[]> {
  const session = await InferenceSession.create(bytes)
  const input = new Tensor("float32", new Float32Array(784).fill(0.25), [1, 1, 28, 28])
  const output = await session.run({ input })
  return Array.from(output["logits"]?.data as Float32Array) // float32 by the model's output type
}

async function valuesByName(name: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const bytes = corpusFile(name)
  const { tensors } = await indexOf(bytes)
  return new Map(
    tensors.map(({ name, storage }) => {
      if (storage.kind !== "raw" && storage.kind !== "external") throw new Error(storage.kind)
      const file = storage.kind === "raw" ? bytes : corpusFile(storage.location)
      return [name, Uint8Array.from(file.subarray(storage.offset, storage.offset + storage.length))]
    }),
  )
}
