/** Running a plaintext model with changed weights, to measure what a mark costs before anything is made. */
import type { OpenFile, Tensor, ValueInfo } from "../ports.ts"

/** New bytes for a stretch of one of the model's files (0 is the ONNX file, then its external data). */
export interface Patch {
  readonly file: number
  readonly offset: number
  readonly bytes: Uint8Array
}

/** A process that holds the model in memory. Nothing reaches a disk. Everything ends with `close`, whatever its state. */
export interface TrialProcess {
  readonly inputs: readonly ValueInfo[]
  /** Keeps a batch of inputs and returns its number, counted from 0. Throws what the process throws. */
  keep(inputs: readonly Tensor[]): Promise<number>
  /** Outputs of each batch with the patches applied. Throws INPUT_MISMATCH, MODEL_UNSUPPORTED. */
  run(patches: readonly Patch[], batches: readonly number[]): Promise<readonly (readonly Tensor[])[]>
  close(): Promise<void>
}

export interface TrialLauncher {
  /** Throws MODEL_UNSUPPORTED when the inference engine refuses the model, RUNTIME_FAILED when the process ends. */
  start(
    files: readonly { readonly name: string; readonly file: OpenFile }[],
    signal: AbortSignal,
  ): Promise<TrialProcess>
}
