/** Inference over a sealed package. */
import { AppError } from "../contract/errors.ts"
import type { Ran, RunRequest } from "../contract/schema/run.ts"
import { isNpyDtype, writeNpyHeader } from "../core/bytes/npy-header.ts"
import { openFeed } from "./feed.ts"
import type { JobContext } from "./jobs.ts"
import type { PendingFile, Ports, Tensor } from "./ports.ts"
import { openGuardedModel } from "./serving/guarded-model.ts"

export async function run(ports: Ports, request: RunRequest, job: JobContext): Promise<Ran> {
  const loadStartedAt = performance.now()
  const model = await openGuardedModel(ports, request, request.level, job.signal)
  const { runtime } = model
  const loadSeconds = (performance.now() - loadStartedAt) / 1000
  try {
    // Whoever may run the package here needs no token, and is bound by its policy all the same.
    model.firewall.admit(LOCAL_CLIENT, ports.random(32))
    const feed = await openFeed(ports.files, request, runtime.model.inputs)
    const output =
      request.output === null
        ? null
        : await ports.files.create(request.output.file, { replace: request.output.replace, isSecret: false })
    try {
      const wanted = chooseOutput(runtime.model.outputs, request.output?.name ?? null)
      const control = job.step("run", feed.rows, "rows")
      const runStartedAt = performance.now()
      const writer = output === null ? null : new ArrayWriter(output, feed.rows)
      const shapes = new Map<string, { readonly type: string; readonly shape: number[] }>()
      for (let row = 0; row < feed.rows; row += feed.batch) {
        const outputs = await model.infer(LOCAL_CLIENT, await feed.batchAt(row), job.signal)
        for (const tensor of outputs) {
          collectShape(shapes, tensor)
          if (tensor.name === wanted) await writer?.append(tensor)
        }
        control.progress(Math.min(row + feed.batch, feed.rows))
      }
      await output?.commit()
      return {
        rows: feed.rows,
        batch: feed.batch,
        level: runtime.level,
        outputs: [...shapes].map(([name, { type, shape }]) => ({ name, type, shape })),
        conversions: [...feed.conversions],
        loadSeconds,
        runSeconds: (performance.now() - runStartedAt) / 1000,
      }
    } finally {
      await output?.discard()
      await feed.close()
    }
  } finally {
    await model.close()
  }
}

/** Name under which `run` stands in the audit log. */
const LOCAL_CLIENT = "run"

function chooseOutput(outputs: readonly { readonly name: string }[], name: string | null): string {
  const found = name === null ? outputs[0] : outputs.find((output) => output.name === name)
  if (found !== undefined) return found.name
  throw new AppError(
    "INPUT_MISMATCH",
    `the model has no output ${name ?? ""}: it has ${outputs.map((output) => output.name).join(", ")}`,
  )
}

/** Batches add up along the first axis. */
function collectShape(
  shapes: Map<string, { readonly type: string; readonly shape: number[] }>,
  tensor: Tensor,
): void {
  const seen = shapes.get(tensor.name)
  if (seen === undefined) shapes.set(tensor.name, { type: tensor.type, shape: [...tensor.shape] })
  else if (seen.shape.length > 0) seen.shape[0] = (seen.shape[0] ?? 0) + (tensor.shape[0] ?? 0)
}

/** Writes batches of one output as one .npy file. The header names the rows of all, which the feed knows beforehand. */
class ArrayWriter {
  readonly #file: PendingFile
  readonly #rows: number
  #at = 0
  #rowsWritten = 0
  #shape: readonly number[] = []

  constructor(file: PendingFile, rows: number) {
    this.#file = file
    this.#rows = rows
  }

  async append(tensor: Tensor): Promise<void> {
    const isFirst = this.#at === 0
    if (isFirst) {
      const { type } = tensor
      if (!isNpyDtype(type)) throw new AppError("NPY_UNSUPPORTED", `the output is of type ${type}`)
      const isWhole = this.#rows === 1
      this.#shape = isWhole ? tensor.shape : [this.#rows, ...tensor.shape.slice(1)]
      await this.#write(writeNpyHeader(type, this.#shape))
    }
    this.#rowsWritten += tensor.shape[0] ?? 1
    const isSameRow = tensor.shape.slice(1).every((size, axis) => size === this.#shape[axis + 1])
    if (!isSameRow || this.#rowsWritten > (this.#shape[0] ?? 1)) {
      throw new AppError("INPUT_MISMATCH", "the output of one batch does not continue that of the one before")
    }
    await this.#write(tensor.data)
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#file.write(this.#at, bytes)
    this.#at += bytes.length
  }
}
