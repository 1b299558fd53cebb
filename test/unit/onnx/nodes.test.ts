import { describe, expect, it } from "vitest"
import { attribute, graphOf, indexOf, model, node, tensor, TYPE } from "../../support/onnx-models.ts"
import { block, float, floats, int, join, tag, varint, type Bytes } from "../../support/protobuf.ts"

const one = tensor("inner", TYPE.float, [2], block(9, floats(1, 2)))
const T = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
} as const

describe("the value of a Constant node", () => {
  it("is named after the node's output, in every form", async () => {
    const sparse = join(
      block(1, tensor("", TYPE.float, [1], block(9, floats(1)))),
      block(2, tensor("", TYPE.int64, [1], block(7, varint(3)))),
      int(3, 9),
    )
    const { tensors } = await indexOf(
      model(
        node("Constant", ["a"], [attribute("value", T.tensor, block(5, one))]),
        node("Constant", ["b"], [attribute("value_float", T.float, float(2, 1.5))]),
        node("Constant", ["c"], [attribute("value_int", T.int, int(3, -7))]),
        node("Constant", ["d"], [attribute("value_floats", T.floats, float(7, 1), float(7, 2))]),
        node(
          "Constant",
          ["e"],
          [attribute("value_ints", T.ints, block(8, varint(1), varint(300), varint(-1)))],
        ),
        node("Constant", ["f"], [attribute("sparse_value", 11, block(22, sparse))]),
      ),
    )
    expect(tensors).toMatchObject([
      { name: "a", kind: "constant", dataType: "FLOAT", dims: [2], storage: { kind: "raw", length: 8 } },
      { name: "b", kind: "constant", dataType: "FLOAT", dims: [], storage: { kind: "unpacked", field: "f" } },
      { name: "c", kind: "constant", dataType: "INT64", dims: [], storage: { kind: "unpacked", field: "i" } },
      { name: "d", dims: [2], byteLength: 8, storage: { field: "floats", runs: [{ length: 10, count: 2 }] } },
      {
        name: "e",
        dims: [3],
        byteLength: 24,
        storage: { kind: "packed", field: "ints", chunks: [{ length: 13 }] },
      },
      { name: "f", kind: "sparse" },
      { name: "f", kind: "sparse-indices" },
    ])
    expect(new Set(tensors.map(({ path }) => path))).toEqual(new Set(["graph"]))
  })

  it("is found when the attribute stands before the operator and the output", async () => {
    const reversed = block(
      1,
      attribute("value", T.tensor, block(5, one)),
      block(7, "ai.onnx"),
      block(4, "Constant"),
      block(2, "late"),
    )
    const { tensors } = await indexOf(model(reversed))
    expect(tensors).toMatchObject([{ name: "late", kind: "constant", path: "graph" }])
  })

  it("is an ordinary attribute in a node of another operator or domain", async () => {
    const value = attribute("value", T.tensor, block(5, one))
    const foreign = block(1, block(2, "x"), block(4, "Constant"), value, block(7, "my.domain"))
    const { tensors } = await indexOf(model(node("ConstantOfShape", ["y"], [value]), foreign))
    expect(tensors).toMatchObject([
      { name: "inner", kind: "attribute", path: "graph/node[0:ConstantOfShape].value" },
      { name: "inner", kind: "attribute", path: "graph/node[1:Constant].value" },
    ])
  })
})

describe("nested graphs", () => {
  const branch = block(6, block(5, one), node("Relu", ["r"]), block(2, "branch"), block(12, block(1, "r")))

  it("are walked with the path that leads to them", async () => {
    const nested = block(6, node("Loop", ["l"], [attribute("body", T.graph, branch)]))
    const { tensors, nodeCount, nodes, graphs } = await graphOf(
      model(
        node("Abs", ["a"]),
        node(
          "If",
          ["x"],
          [attribute("then_branch", T.graph, branch), attribute("else_branch", T.graph, nested)],
        ),
        block(11, block(1, "in")),
      ),
    )
    expect(tensors.map(({ path, name }) => [path, name])).toEqual([
      ["graph/node[1:If].then_branch", "inner"],
      ["graph/node[1:If].else_branch/node[0:Loop].body", "inner"],
    ])
    expect(nodeCount).toBe(5)
    expect(nodes.map(({ path, index, opType }) => `${path} ${index} ${opType}`)).toEqual([
      "graph 0 Abs",
      "graph/node[1:If].then_branch 0 Relu",
      "graph/node[1:If].else_branch/node[0:Loop].body 0 Relu",
      "graph/node[1:If].else_branch 0 Loop",
      "graph 1 If",
    ])
    expect(graphs).toContainEqual({ path: "graph", inputs: ["in"], outputs: [] })
    expect(graphs).toContainEqual({ path: "graph/node[1:If].then_branch", inputs: [], outputs: ["r"] })
    expect(nodes.at(-1)?.attributes).toEqual([
      { name: "then_branch", value: { kind: "graphs", paths: ["graph/node[1:If].then_branch"] } },
      { name: "else_branch", value: { kind: "graphs", paths: ["graph/node[1:If].else_branch"] } },
    ])
  })

  it("are numbered in a list", async () => {
    const list = attribute("branches", 10, block(11, block(5, one)), block(11, block(5, one)))
    const { tensors } = await indexOf(model(node("Switch", ["x"], [list])))
    expect(tensors.map(({ path }) => path)).toEqual([
      "graph/node[0:Switch].branches[0]",
      "graph/node[0:Switch].branches[1]",
    ])
  })

  it("of training are walked, because their weights may be external files", async () => {
    const training = block(20, block(1, block(5, one)), block(2, block(5, one)))
    const { tensors } = await indexOf(join(model(), training))
    expect(tensors.map(({ path }) => path)).toEqual(["training[0].initialization", "training[0].algorithm"])
  })

  it("do not lend their initializers to the inputs of the graph", async () => {
    const value = (name: string): Bytes => block(11, block(1, name))
    const { inputs } = await indexOf(
      model(
        value("inner"),
        value("x"),
        value("w"),
        node("If", ["y"], [attribute("then_branch", T.graph, branch)]),
        block(5, tensor("w", TYPE.float, [1], block(9, floats(1)))),
      ),
    )
    expect(inputs.map(({ name }) => name)).toEqual(["inner", "x"])
  })
})

describe("functions of the model", () => {
  const body = node("Constant", ["k"], [attribute("value", T.tensor, block(5, one))], 7)
  const gelu = block(25, block(1, "Gelu"), block(4, "x"), block(5, "y"), body, block(10, "local"))

  it("are walked under their domain and name", async () => {
    const { functions, tensors, graphs, nodeCount } = await graphOf(join(model(), gelu))
    expect(functions).toEqual([{ domain: "local", name: "Gelu", overload: "", path: "function[local:Gelu]" }])
    expect(tensors).toMatchObject([{ path: "function[local:Gelu]", name: "k", kind: "constant" }])
    expect(graphs).toContainEqual({ path: "function[local:Gelu]", inputs: ["x"], outputs: ["y"] })
    expect(nodeCount).toBe(1)
  })

  it("are told apart by their overload", async () => {
    const overloaded = block(25, block(1, "Gelu"), block(13, "fast"), block(10, "local"))
    const { functions } = await indexOf(join(model(), gelu, overloaded))
    expect(functions.map(({ path }) => path)).toEqual(["function[local:Gelu]", "function[local:Gelu:fast]"])
  })

  it("make their domain known, other operators of it do not", async () => {
    const call = (opType: string): Bytes => block(1, block(4, opType), block(7, "local"))
    expect((await indexOf(join(model(call("Gelu")), gelu))).customDomains).toEqual([])
    expect((await indexOf(join(model(call("Gelu"), call("Other")), gelu))).customDomains).toEqual(["local"])
  })

  it("may take attributes from their caller and have tensors as defaults", async () => {
    const reference = block(5, block(1, "alpha"), block(21, "slope"), int(20, T.float))
    const fallback = block(11, block(1, "table"), block(5, one), int(20, T.tensor))
    const withAttributes = block(
      25,
      block(1, "F"),
      block(10, "d"),
      node("Elu", ["e"], [reference], 7),
      fallback,
    )
    const { nodes, tensors } = await graphOf(join(model(), withAttributes))
    expect(nodes[0]?.attributes).toEqual([{ name: "alpha", value: { kind: "reference", name: "slope" } }])
    expect(tensors).toMatchObject([{ kind: "attribute", path: "function[d:F].table" }])
  })
})

describe("attributes", () => {
  it("keep their values", async () => {
    const { nodes, tensors } = await graphOf(
      model(
        node(
          "Any",
          ["y"],
          [
            attribute("f", T.float, float(2, 0.5)),
            attribute("i", T.int, int(3, -3)),
            attribute("end", T.int, int(3, 2n ** 63n - 1n)),
            attribute("zero", T.int),
            attribute("s", T.string, block(4, "héllo")),
            attribute("bytes", T.string, block(4, Uint8Array.of(0xff, 0xfe))),
            attribute("floats", T.floats, block(7, floats(1, 2)), float(7, 3)),
            attribute("ints", T.ints, int(8, 1), int(8, -1)),
            attribute("strings", T.strings, block(9, "a"), block(9, "")),
            attribute("tensors", T.tensors, block(10, one), block(10, one)),
            attribute("type", 13, block(14)),
            block(5, block(1, "untyped"), float(2, 4)), // IR version 1
          ],
        ),
      ),
    )
    expect(Object.fromEntries(nodes[0]?.attributes.map(({ name, value }) => [name, value]) ?? [])).toEqual({
      f: { kind: "float", value: 0.5 },
      i: { kind: "int", value: -3 },
      end: { kind: "int", value: 2n ** 63n - 1n },
      zero: { kind: "int", value: 0 },
      s: { kind: "string", value: "héllo", sizeBytes: 6 },
      bytes: { kind: "string", value: null, sizeBytes: 2 },
      floats: { kind: "floats", count: 3, values: [1, 2, 3] },
      ints: { kind: "ints", count: 2, values: [1, -1] },
      strings: { kind: "strings", count: 2, values: ["a", ""] },
      tensors: { kind: "tensors", tensors: [0, 1] },
      type: { kind: "other" },
      untyped: { kind: "float", value: 4 },
    })
    expect(tensors.map(({ path }) => path)).toEqual([
      "graph/node[0:Any].tensors[0]",
      "graph/node[0:Any].tensors[1]",
    ])
  })

  it("of great length keep only their count, packed or not", async () => {
    const unpacked = Array.from({ length: 1000 }, (_, i) => int(8, i))
    const { nodes } = await graphOf(
      model(
        node(
          "Forest",
          ["y"],
          [
            attribute("packed", T.floats, block(7, new Uint8Array(4 * 300_000))),
            attribute("unpacked", T.ints, ...unpacked),
            attribute("varints", T.ints, block(8, new Uint8Array(200_000))),
            attribute("words", T.strings, ...Array.from({ length: 257 }, () => block(9, "w"))),
            attribute("file", T.string, block(4, new Uint8Array(100_000))),
          ],
        ),
      ),
    )
    expect(nodes[0]?.attributes.map(({ value }) => value)).toEqual([
      { kind: "floats", count: 300_000, values: null },
      { kind: "ints", count: 1000, values: null },
      { kind: "ints", count: 200_000, values: null },
      { kind: "strings", count: 257, values: null },
      { kind: "string", value: null, sizeBytes: 100_000 },
    ])
  })

  it("are malformed when packed floats are no whole number of them", async () => {
    const broken = node("A", ["y"], [attribute("floats", T.floats, block(7, new Uint8Array(7)))])
    await expect(indexOf(model(broken))).toFailWithCode("ONNX_MALFORMED")
    const cutVarint = node("A", ["y"], [attribute("ints", T.ints, block(8, Uint8Array.of(1, 0x80)))])
    await expect(indexOf(model(cutVarint))).toFailWithCode("ONNX_MALFORMED")
  })
})

describe("inputs and outputs", () => {
  const shape = (...dims: readonly Bytes[]): Bytes => block(2, ...dims.map((dim) => block(1, dim)))
  const typed = (name: string, type: Bytes): Bytes => block(11, block(1, name), block(2, type))

  it("have the type the model gives them", async () => {
    const floatTensor = block(
      1,
      int(1, 1),
      shape(block(2, "batch"), int(1, 3), join(), int(1, -1), block(2, "")),
    )
    const { inputs } = await indexOf(
      model(
        typed("tensor", floatTensor),
        typed("scalar", block(1, int(1, 7), shape())),
        typed("anyRank", block(1, int(1, 16))),
        typed("sparse", block(8, int(1, 1), shape(int(1, 9)))),
        typed("sequence", block(4, block(1, block(5, int(1, 8), block(2, block(1, int(1, 1))))))),
        typed("optional", block(9, block(1, block(1, int(1, 9))))),
        typed("opaque", block(7, block(2, "thing"))),
        block(11, block(1, "untyped")),
      ),
    )
    expect(inputs).toEqual([
      {
        name: "tensor",
        type: { kind: "tensor", elementType: "FLOAT", shape: ["batch", 3, null, null, null] },
      },
      { name: "scalar", type: { kind: "tensor", elementType: "INT64", shape: [] } },
      { name: "anyRank", type: { kind: "tensor", elementType: "BFLOAT16", shape: null } },
      { name: "sparse", type: { kind: "sparse_tensor", elementType: "FLOAT", shape: [9] } },
      {
        name: "sequence",
        type: {
          kind: "sequence",
          element: {
            kind: "map",
            key: "STRING",
            value: { kind: "tensor", elementType: "FLOAT", shape: null },
          },
        },
      },
      {
        name: "optional",
        type: { kind: "optional", element: { kind: "tensor", elementType: "BOOL", shape: null } },
      },
      { name: "opaque", type: { kind: "opaque" } },
      { name: "untyped", type: { kind: "unknown" } },
    ])
  })

  it("are refused with an element type onnx.proto does not have", async () => {
    await expect(indexOf(model(typed("x", block(1, int(1, 99)))))).toFailWithCode("ONNX_MALFORMED")
  })
})

describe("the model", () => {
  it("counts operators over graphs and functions, most used first", async () => {
    const same = block(1, block(4, "Relu"), block(7, "ai.onnx"))
    const { operators, nodeCount } = await indexOf(model(node("Abs", ["a"]), node("Relu", ["b"]), same))
    expect(operators).toEqual([
      { domain: "", opType: "Relu", count: 2 },
      { domain: "", opType: "Abs", count: 1 },
    ])
    expect(nodeCount).toBe(3)
  })

  it("names the domains a stock runtime does not have", async () => {
    const use = (domain: string): Bytes => block(1, block(4, "Op"), block(7, domain))
    const domains = ["com.microsoft", "com.microsoft.nchwc", "ai.onnx.ml", "ai.onnx.training", "ai.onnx"]
    const custom = ["com.microsoft.extensions", "com.microsoftish", "org.example"]
    const { customDomains } = await indexOf(model(...[...domains, ...custom.toReversed()].map(use)))
    expect(customDomains).toEqual(custom)
  })

  it("keeps its metadata, of long values only the size", async () => {
    const entry = (key: string, value: string): Bytes => block(14, block(1, key), block(2, value))
    const file = join(model(), entry("license", "MIT"), entry("vocabulary", "x".repeat(50_000)))
    expect((await indexOf(file)).metadata).toEqual([
      { key: "license", value: "MIT", sizeBytes: 3 },
      { key: "vocabulary", value: null, sizeBytes: 50_000 },
    ])
  })

  it("may be produced by anyone", async () => {
    const file = join(
      int(1, 8),
      block(2, "torch"),
      block(3, "2.1"),
      block(7, block(2, "main")),
      block(8, int(2, 17)),
    )
    expect(await indexOf(file)).toMatchObject({
      producerName: "torch",
      producerVersion: "2.1",
      graphName: "main",
      operatorSets: [{ domain: "", version: 17 }],
    })
  })

  it("may say nothing with a tag of five bytes", async () => {
    const padded = join(Uint8Array.of(0x92, 0x80, 0x80, 0x80, 0x00), varint(2), "me") // field 2, padded
    expect((await indexOf(join(model(), padded))).producerName).toBe("me")
    expect(tag(2, 2)).toEqual(Uint8Array.of(0x12))
  })
})
