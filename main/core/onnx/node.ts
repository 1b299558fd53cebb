import type { Attribute, Text } from "./attribute.ts"
import { ATTRIBUTE_TYPE as TYPE, NODE } from "./schema.ts"
import type { Scope, Span, WireReader } from "./wire.ts"

/** A node of a graph, with attributes in the size of their meaning: of tensors and graphs only the references. */
export interface NodeEntry {
  readonly opType: string
  /** "" is the operator set of ONNX itself, also where the model spells it "ai.onnx". */
  readonly domain: string
  readonly name: string
  /** Names of values; "" is an optional input or output left out. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Path of the graph the node stands in, and its place among that graph's nodes. */
  readonly path: string
  readonly index: number
  readonly attributes: readonly NodeAttribute[]
}

export interface NodeAttribute {
  readonly name: string
  readonly value: AttributeValue
}

export type AttributeValue =
  | { readonly kind: "float"; readonly value: number }
  /** A bigint only beyond 2^53, as in "to the end" of old Slice nodes. */
  | { readonly kind: "int"; readonly value: number | bigint }
  /** `value` is `null` when the bytes are not UTF-8 or more than 32 KiB. */
  | { readonly kind: "string"; readonly value: string | null; readonly sizeBytes: number }
  /** `values` is `null` when there are more than 256. */
  | { readonly kind: "floats"; readonly count: number; readonly values: readonly number[] | null }
  | { readonly kind: "ints"; readonly count: number; readonly values: readonly (number | bigint)[] | null }
  | { readonly kind: "strings"; readonly count: number; readonly values: readonly (string | null)[] | null }
  /** Places in the index's `tensors`; one for a single tensor, values and indices in turn for sparse ones. */
  | { readonly kind: "tensors"; readonly tensors: readonly number[] }
  | { readonly kind: "graphs"; readonly paths: readonly string[] }
  /** The value of this attribute of the enclosing function. */
  | { readonly kind: "reference"; readonly name: string }
  /** A type, or nothing. */
  | { readonly kind: "other" }

/** A NodeProto whose attributes are not entered yet: their paths need the operator's type, which may stand behind them. */
export interface NodeOutline {
  readonly opType: string
  readonly domain: string
  readonly name: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: readonly Span[]
}

/**
 * Reads the node in `scope`. Without `keepsNames` the name, the inputs and all outputs but the first are left out. Throws
 * ONNX_MALFORMED.
 */
export async function readNode(reader: WireReader, scope: Scope, keepsNames: boolean): Promise<NodeOutline> {
  const { field } = NODE
  const inputs: string[] = []
  const outputs: string[] = []
  const attributes: Span[] = []
  let [opType, domain, name] = ["", "", ""]
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case field.input:
        if (!keepsNames) break
        inputs.push(await reader.text())
        break
      case field.output:
        if (!keepsNames && outputs.length > 0) break
        outputs.push(await reader.text())
        break
      case field.attribute:
        reader.keep(SPAN_COST)
        attributes.push(reader.span)
        break
      case field.opType:
        opType = await reader.text()
        break
      case field.domain:
        domain = toDomain(await reader.text())
        break
      case field.name:
        if (keepsNames) name = await reader.text()
        break
    }
  }
  return { opType, domain, name, inputs, outputs, attributes }
}

/** ONNX's own operator set has two spellings. */
export function toDomain(text: string): string {
  return text === "ai.onnx" ? "" : text
}

export function toAttributeValue(
  attribute: Attribute,
  tensors: readonly number[],
  paths: readonly string[],
): AttributeValue {
  if (attribute.reference !== "") return { kind: "reference", name: attribute.reference }
  switch (attribute.type) {
    // A writer may leave out a zero.
    case TYPE.float:
      return { kind: "float", value: attribute.f.values[0] ?? 0 }
    case TYPE.int:
      return { kind: "int", value: attribute.i.values[0] ?? 0 }
    case TYPE.string:
      return { kind: "string", value: attribute.s.text, sizeBytes: attribute.s.sizeBytes }
    case TYPE.floats:
      return { kind: "floats", ...wholeList(attribute.floats) }
    case TYPE.ints:
      return { kind: "ints", ...wholeList(attribute.ints) }
    case TYPE.strings: {
      const { count, values } = wholeList<Text>(attribute.strings)
      return { kind: "strings", count, values: values?.map(({ text }) => text) ?? null }
    }
    case TYPE.tensor:
    case TYPE.tensors:
    case TYPE.sparseTensor:
    case TYPE.sparseTensors:
      return { kind: "tensors", tensors }
    case TYPE.graph:
    case TYPE.graphs:
      return { kind: "graphs", paths }
    default:
      return { kind: "other" }
  }
}

function wholeList<Value>(list: { readonly count: number; readonly values: readonly Value[] }): {
  count: number
  values: readonly Value[] | null
} {
  return { count: list.count, values: list.values.length === list.count ? list.values : null }
}

/** Bytes in memory, estimated. */
const SPAN_COST = 32
