/** Marked copies of corpus models and what becomes of them, shared by the suites of tracing. */
import { sumInJavaScript } from "../../main/core/watermark/code-words.ts"
import type { MarkMode } from "../../main/core/watermark/trace-carriers.ts"
import {
  Tracer,
  type IssuedCopy,
  type ReadableModel,
  type SumCodeWords,
  type Traced,
} from "../../main/core/watermark/trace.ts"
import type { MarkPlan } from "../../main/core/watermark/plan.ts"
import { putTogether, takeApart, type EditorModel } from "./attacks/onnx-editor.ts"
import { embedCopy, evenPlan, readable } from "./embedding.ts"
import { corpusFile } from "./onnx-models.ts"

export type Attack = (model: EditorModel) => void

/** An owner with one model, a plan and some issued copies. Keys of tests are fixed: they protect nothing. */
export class TestOwner {
  readonly bytes: Uint8Array
  readonly original: ReadableModel
  readonly plan: MarkPlan
  readonly masterKey: Uint8Array
  readonly copies: readonly IssuedCopy[]
  sum: SumCodeWords = sumInJavaScript()
  #tracer: Promise<Tracer> | null = null

  private constructor(
    bytes: Uint8Array,
    original: ReadableModel,
    plan: MarkPlan,
    masterKey: Uint8Array,
    copies: readonly IssuedCopy[],
  ) {
    this.bytes = bytes
    this.original = original
    this.plan = plan
    this.masterKey = masterKey
    this.copies = copies
  }

  static async of(
    name: string,
    options: {
      readonly strength?: number
      readonly devices?: number
      readonly mode?: MarkMode
      readonly key?: number
    } = {},
  ): Promise<TestOwner> {
    const { strength = 0.01, devices = 64, mode = "individual", key = 7 } = options
    const bytes = corpusFile(name)
    const original = await readable(bytes)
    const copies = Array.from({ length: devices }, (_, device) => ({ device, attempt: 0, mode }))
    const plan = await evenPlan(original, strength)
    return new TestOwner(bytes, original, plan, new Uint8Array(32).fill(key), copies)
  }

  async copyOf(device: number): Promise<Uint8Array> {
    const copy = this.copies[device]
    if (copy === undefined) throw new Error(`no device ${device}`)
    return embedCopy(this.bytes, this.plan, this.masterKey, copy)
  }

  async attacked(device: number, ...attacks: readonly Attack[]): Promise<Uint8Array> {
    const model = takeApart(await this.copyOf(device))
    for (const attack of attacks) attack(model)
    return putTogether(model)
  }

  async trace(suspect: Uint8Array, copies: readonly IssuedCopy[] = this.copies): Promise<Traced> {
    const { original, plan, masterKey } = this
    const modes = [...new Set(copies.map(({ mode }) => mode))]
    this.#tracer ??= Tracer.open({ original, plan, masterKey, modes })
    const tracer = await this.#tracer
    return tracer.trace(await readable(suspect), { copies, ownerTests: 1, sum: this.sum })
  }

  /** Names of inputs and outputs, which a renaming must leave alone. */
  get interface(): ReadonlySet<string> {
    const { inputs, outputs } = this.original.graph
    return new Set([...inputs, ...outputs].map(({ name }) => name))
  }
}

const ALPHA = 1e-6

/** Devices that would be accused at the default level. */
export function accused(traced: Traced): readonly number[] {
  return traced.copies
    .filter(({ log10pCorrected }) => log10pCorrected < Math.log10(ALPHA))
    .map(({ copy }) => copy.device)
}
