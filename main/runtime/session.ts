/** One onnxruntime session over files in memory. */
import { createRequire } from "node:module"
import type * as Ort from "onnxruntime-node"
import { AppError } from "../contract/errors.ts"
import type { TensorHeader } from "../contract/runtime-protocol.ts"
import type { PlainFile } from "./load.ts"

// Its library would keep a device number and a queue of events for its makers in the user's cache, and send them when it can.
process.env["ORT_DISABLE_TELEMETRY"] = "1"

// The package is CommonJS; its named exports are not visible to an import.
// A require of a package's main module gives its module object, which its own typings describe.
const ort = createRequire(import.meta.url)("onnxruntime-node") as typeof Ort

export interface TensorBytes {
  readonly header: TensorHeader
  readonly bytes: Uint8Array
}

interface SessionValue {
  readonly name: string
  readonly type: string
  readonly shape: (number | string | null)[]
}

/** Element types a tensor may have here, by numpy's name, and the view onnxruntime wants for each. */
const VIEWS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const
type ElementType = keyof typeof VIEWS

export class ModelSession {
  readonly inputs: SessionValue[]
  readonly outputs: SessionValue[]
  readonly #session: Ort.InferenceSession

  /** `files`: the model, then its external data. Throws MODEL_UNSUPPORTED. */
  static async open(files: readonly PlainFile[]): Promise<ModelSession> {
    const [model, ...external] = files
    if (model === undefined) throw new AppError("MODEL_UNSUPPORTED", "there is no model to load")
    try {
      const session = await ort.InferenceSession.create(model.bytes, {
        executionProviders: ["cpu"],
        externalData: external.map(({ name, bytes }) => ({ path: name, data: bytes })),
        logSeverityLevel: 4,
      })
      return new ModelSession(session)
    } catch (error) {
      throw new AppError("MODEL_UNSUPPORTED", `the inference engine refuses the model${reasonFrom(error)}`)
    }
  }

  /** Frees the session's memory. */
  async close(): Promise<void> {
    await this.#session.release()
  }

  private constructor(session: Ort.InferenceSession) {
    this.#session = session
    this.inputs = session.inputMetadata.map(describe)
    this.outputs = session.outputMetadata.map(describe)
  }

  /** `body` holds the input tensors one after another. Throws INPUT_MISMATCH, MODEL_UNSUPPORTED. */
  async run(
    inputs: readonly TensorHeader[],
    body: Uint8Array<ArrayBuffer>,
  ): Promise<{ readonly outputs: readonly TensorBytes[]; readonly ms: number }> {
    const feeds: Record<string, Ort.Tensor> = {}
    let at = 0
    for (const input of inputs) {
      feeds[input.name] = toTensor(input, body.subarray(at, at + input.bytes))
      at += input.bytes
    }
    if (at !== body.length) throw new AppError("INPUT_MISMATCH", "the inputs do not add up to the bytes sent")
    const startedAt = performance.now()
    let results: Ort.InferenceSession.OnnxValueMapType
    try {
      results = await this.#session.run(feeds)
    } catch (error) {
      throw new AppError("INPUT_MISMATCH", `the inference engine refuses the input${inputReasonFrom(error)}`)
    }
    const ms = performance.now() - startedAt
    return { outputs: this.outputs.map(({ name }) => toBytes(name, results[name])), ms }
  }
}

function describe(value: Ort.InferenceSession.ValueMetadata): SessionValue {
  if (!value.isTensor) return { name: value.name, type: "sequence or map", shape: [] }
  return {
    name: value.name,
    type: value.type,
    shape: value.shape.map((size) => (size === "" ? null : size)),
  }
}

function toTensor(header: TensorHeader, bytes: Uint8Array<ArrayBuffer>): Ort.Tensor {
  const type = elementType(header.type)
  const View = VIEWS[type]
  const count = header.shape.reduce((product, size) => product * size, 1)
  if (bytes.length !== count * View.BYTES_PER_ELEMENT) {
    throw new AppError(
      "INPUT_MISMATCH",
      `the input ${header.name} has ${bytes.length} bytes for ${count} elements`,
    )
  }
  // A typed array must start at a multiple of its element size; a slice of a message need not.
  const aligned = bytes.byteOffset % View.BYTES_PER_ELEMENT === 0 ? bytes : Uint8Array.from(bytes)
  const data = new View(aligned.buffer, aligned.byteOffset, count)
  return new ort.Tensor(type, data, header.shape)
}

function toBytes(name: string, value: Ort.OnnxValue | undefined): TensorBytes {
  if (!(value instanceof ort.Tensor) || !isElementType(value.type) || !ArrayBuffer.isView(value.data)) {
    throw new AppError("MODEL_UNSUPPORTED", `the output ${name} is not a numeric tensor`)
  }
  const bytes = new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength)
  return { header: { name, type: value.type, shape: [...value.dims], bytes: bytes.length }, bytes }
}

function elementType(type: string): ElementType {
  if (!isElementType(type))
    throw new AppError("INPUT_MISMATCH", `inputs of type ${type.slice(0, 20)} are not supported`)
  return type
}

function isElementType(type: string): type is ElementType {
  return Object.hasOwn(VIEWS, type)
}

/** The part of onnxruntime's message that names an operator. The rest may quote names from inside the sealed model. */
function reasonFrom(error: unknown): string {
  const text = error instanceof Error ? error.message : ""
  const operator = /([\w.]+:\w+)\(-?\d+\) is not a registered function\/op/.exec(text)
  return operator?.[1] === undefined ? "" : `: it does not know the operator ${operator[1]}`
}

/** Messages about inputs name only what the caller sent. */
function inputReasonFrom(error: unknown): string {
  const text = error instanceof Error ? error.message : ""
  const match =
    /(Invalid rank for input: .*?)( Please fix|$)|(Got invalid dimensions for input: .*?)( Please fix|$)|(Unexpected input data type.*)/s.exec(
      text,
    )
  const reason = match?.[1] ?? match?.[3] ?? match?.[5]
  return reason === undefined ? "" : `: ${reason.replaceAll(/\s+/g, " ").trim().slice(0, 300)}`
}
