import { ATTRIBUTE, ATTRIBUTE_TYPE, PACKED } from "./schema.ts"
import { addField, newList, type NumberField, type ValueList } from "./value-list.ts"
import { malformed, type Scope, type Span, type WireReader } from "./wire.ts"

/** A list longer than this is kept as its count: the forests of ai.onnx.ml hold millions of numbers in attributes. */
const LIST_LIMIT = 256
/** Tensors or graphs in one attribute. */
const MAX_MESSAGES = 4096
/** Bytes in memory, estimated. */
const ATTRIBUTE_COST = 128
const NUMBER_COST = 16
const SPAN_COST = 32

/** An AttributeProto; of the tensors and graphs in it only where they stand. */
export interface Attribute {
  readonly name: string
  /** AttributeProto.type, or what the fields suggest when it is missing, as in IR version 1. */
  readonly type: number
  /** Attribute of the enclosing function whose value this one takes; empty when it has its own. */
  readonly reference: string
  readonly f: Numbers<number>
  readonly i: Numbers<number | bigint>
  readonly s: Text
  readonly floats: Numbers<number>
  readonly ints: Numbers<number | bigint>
  readonly strings: { readonly count: number; readonly values: readonly Text[] }
  readonly tensors: readonly Span[]
  readonly sparseTensors: readonly Span[]
  readonly graphs: readonly Span[]
}

/** `text` is `null` when the bytes are not UTF-8 or more than 32 KiB: the field may hold a file. */
export interface Text {
  readonly text: string | null
  readonly sizeBytes: number
}

/** How many numbers there are, the first 256 of them, and where all of them stand. */
interface Numbers<Value> {
  readonly count: number
  readonly values: readonly Value[]
  readonly list: ValueList
}

/** Reads the attribute in `scope` without entering its tensors and graphs. Throws ONNX_MALFORMED. */
export async function readAttribute(reader: WireReader, scope: Scope): Promise<Attribute> {
  const { field } = ATTRIBUTE
  const draft = newDraft()
  reader.keep(ATTRIBUTE_COST)
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case field.floats:
        addField(draft.floats.list, reader, scope)
        if (reader.isBlock) await addPackedFloats(draft.floats, reader, scope)
        else add(draft.floats, reader.float(), reader)
        break
      case field.ints:
        addField(draft.ints.list, reader, scope)
        if (reader.isBlock) await addPackedInts(draft.ints, reader, scope)
        else add(draft.ints, reader.int64(), reader)
        break
      case field.strings:
        draft.strings.count += 1
        if (draft.strings.values.length < LIST_LIMIT) draft.strings.values.push(await readText(reader))
        break
      case field.name:
        draft.name = await reader.text()
        break
      case field.type:
        draft.type = reader.integer()
        break
      case field.i:
        addField(draft.i.list, reader, scope)
        add(draft.i, reader.int64(), reader)
        break
      case field.f:
        addField(draft.f.list, reader, scope)
        add(draft.f, reader.float(), reader)
        break
      case field.s:
        draft.s = await readText(reader)
        break
      case field.t:
      case field.tensors:
        addMessage(draft.tensors, reader)
        break
      case field.g:
      case field.graphs:
        addMessage(draft.graphs, reader)
        break
      case field.sparseTensor:
      case field.sparseTensors:
        addMessage(draft.sparseTensors, reader)
        break
      case field.refAttrName:
        draft.reference = await reader.text()
        break
    }
  }
  if (draft.type === ATTRIBUTE_TYPE.undefined) draft.type = suggestedType(draft)
  return draft
}

type Draft = ReturnType<typeof newDraft>

function newDraft() {
  const noText: Text = { text: "", sizeBytes: 0 }
  return {
    name: "",
    type: ATTRIBUTE_TYPE.undefined as number,
    reference: "",
    f: noNumbers<number>("f"),
    i: noNumbers<number | bigint>("i"),
    s: noText,
    floats: noNumbers<number>("floats"),
    ints: noNumbers<number | bigint>("ints"),
    strings: { count: 0, values: new Array<Text>() },
    tensors: new Array<Span>(),
    sparseTensors: new Array<Span>(),
    graphs: new Array<Span>(),
  }
}

interface NumbersDraft<Value> {
  count: number
  readonly values: Value[]
  readonly list: ValueList
}

function noNumbers<Value>(field: NumberField): NumbersDraft<Value> {
  return { count: 0, values: [], list: newList(field) }
}

function add<Value>(numbers: NumbersDraft<Value>, value: Value, reader: WireReader): void {
  numbers.count += 1
  if (numbers.values.length >= LIST_LIMIT) return
  reader.keep(NUMBER_COST)
  numbers.values.push(value)
}

async function addPackedFloats(
  numbers: NumbersDraft<number>,
  reader: WireReader,
  scope: Scope,
): Promise<void> {
  const { length } = reader
  if (length % 4 !== 0) throw malformed(scope.at, `floats in ${length} bytes`)
  const packed = reader.enter(scope, PACKED)
  let count = length / 4
  while (reader.hasMore(packed) && numbers.values.length < LIST_LIMIT) {
    if (reader.isStarved(packed)) await reader.load(packed)
    reader.nextFixed32(packed)
    add(numbers, reader.float(), reader)
    count -= 1
  }
  // The rest is not looked at; the length tells how many there are.
  numbers.count += count
}

async function addPackedInts(
  numbers: NumbersDraft<number | bigint>,
  reader: WireReader,
  scope: Scope,
): Promise<void> {
  const packed = reader.enter(scope, PACKED)
  while (reader.hasMore(packed)) {
    if (reader.isStarved(packed)) await reader.load(packed)
    reader.nextVarint(packed)
    add(numbers, reader.int64(), reader)
  }
}

function addMessage(spans: Span[], reader: WireReader): void {
  if (spans.length >= MAX_MESSAGES)
    throw malformed(reader.fieldOffset, `more than ${MAX_MESSAGES} messages in one attribute`)
  reader.keep(SPAN_COST)
  spans.push(reader.span)
}

async function readText(reader: WireReader): Promise<Text> {
  const sizeBytes = reader.length
  return { text: await reader.textIfShort(), sizeBytes }
}

function suggestedType(draft: Draft): number {
  if (draft.f.count > 0) return ATTRIBUTE_TYPE.float
  if (draft.i.count > 0) return ATTRIBUTE_TYPE.int
  if (draft.tensors.length > 0) return ATTRIBUTE_TYPE.tensor
  if (draft.graphs.length > 0) return ATTRIBUTE_TYPE.graph
  if (draft.sparseTensors.length > 0) return ATTRIBUTE_TYPE.sparseTensor
  if (draft.floats.count > 0) return ATTRIBUTE_TYPE.floats
  if (draft.ints.count > 0) return ATTRIBUTE_TYPE.ints
  if (draft.strings.count > 0) return ATTRIBUTE_TYPE.strings
  return draft.s.sizeBytes > 0 ? ATTRIBUTE_TYPE.string : ATTRIBUTE_TYPE.undefined
}
