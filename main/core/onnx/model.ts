import { readEntry } from "./entry.ts"
import { walkFunction, type FunctionEntry } from "./function.ts"
import { walkGraph, type GraphFacts } from "./graph.ts"
import { toDomain } from "./node.ts"
import { GRAPH, MODEL, OPSET_IMPORT, TRAINING_INFO } from "./schema.ts"
import type { Walk } from "./walk.ts"
import type { Scope, WireReader } from "./wire.ts"

export interface OperatorSet {
  /** "" is the operator set of ONNX itself, also where the model spells it "ai.onnx". */
  readonly domain: string
  readonly version: number
}

export interface MetadataEntry {
  readonly key: string
  /** `null` when it is not UTF-8 or longer than 32 KiB. */
  readonly value: string | null
  readonly sizeBytes: number
}

/** A ModelProto; its nodes and tensors are in the walk. */
export interface Model {
  readonly irVersion: number
  readonly producerName: string
  readonly producerVersion: string
  readonly graph: GraphFacts
  readonly operatorSets: readonly OperatorSet[]
  readonly functions: readonly FunctionEntry[]
  readonly metadata: readonly MetadataEntry[]
}

/** Adds the whole model to the index. Throws ONNX_MALFORMED, ONNX_EXTERNAL_OUTSIDE. */
export async function walkModel(walk: Walk): Promise<Model> {
  const { reader } = walk
  const { field } = MODEL
  const scope = reader.open(MODEL)
  const operatorSets: OperatorSet[] = []
  const functions: FunctionEntry[] = []
  const metadata: MetadataEntry[] = []
  let graph: GraphFacts = { name: "", inputs: [], outputs: [] }
  let [producerName, producerVersion] = ["", ""]
  let [irVersion, trainings] = [0, 0]
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case field.irVersion:
        irVersion = reader.integer()
        break
      case field.producerName:
        producerName = await reader.text()
        break
      case field.producerVersion:
        producerVersion = await reader.text()
        break
      case field.graph:
        graph = await walkGraph(walk, reader.enter(scope, GRAPH), "graph")
        break
      case field.opsetImport:
        reader.keep(ENTRY_COST)
        operatorSets.push(await readOperatorSet(reader, scope))
        break
      case field.metadataProps:
        reader.keep(ENTRY_COST)
        metadata.push(await readMetadata(reader, scope))
        break
      case field.trainingInfo:
        await walkTraining(walk, reader.enter(scope, TRAINING_INFO), `training[${trainings}]`)
        trainings += 1
        break
      case field.functions:
        reader.keep(ENTRY_COST)
        functions.push(await walkFunction(walk, scope))
        break
    }
  }
  return { irVersion, producerName, producerVersion, graph, operatorSets, functions, metadata }
}

async function readOperatorSet(reader: WireReader, parent: Scope): Promise<OperatorSet> {
  const scope = reader.enter(parent, OPSET_IMPORT)
  let domain = ""
  let version = 0
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    switch (reader.next(scope)) {
      case OPSET_IMPORT.field.domain:
        domain = toDomain(await reader.text())
        break
      case OPSET_IMPORT.field.version:
        version = reader.integer()
        break
    }
  }
  return { domain, version }
}

async function readMetadata(reader: WireReader, parent: Scope): Promise<MetadataEntry> {
  const { key, value, valueSpan } = await readEntry(reader, parent)
  return { key, value, sizeBytes: valueSpan.length }
}

/** Training graphs do not run here, but their tensors may stand in external files that belong to the model. */
async function walkTraining(walk: Walk, scope: Scope, path: string): Promise<void> {
  const { reader } = walk
  while (reader.hasMore(scope)) {
    if (reader.isStarved(scope)) await reader.load(scope)
    const number = reader.next(scope)
    if (number === TRAINING_INFO.field.initialization)
      await walkGraph(walk, reader.enter(scope, GRAPH), `${path}.initialization`)
    if (number === TRAINING_INFO.field.algorithm)
      await walkGraph(walk, reader.enter(scope, GRAPH), `${path}.algorithm`)
  }
}

/** Bytes in memory, estimated. */
const ENTRY_COST = 256
