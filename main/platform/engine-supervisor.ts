/** Keeps an engine process running for a host: starts it anew when it ends, and says so. */
import { setTimeout as sleep } from "node:timers/promises"
import type { HostClient } from "../contract/client.ts"
import { AppError } from "../contract/errors.ts"
import type { FileRef } from "../contract/schema/base.ts"
import type { EngineState } from "../contract/schema/shell.ts"
import type { EngineProcess } from "./engine-process.ts"

/** Waits before each restart, milliseconds. An engine that ends after the last of them stays down until it is asked for. */
const RESTART_DELAYS_MS = [0, 250, 1000, 3000]
/** An engine that ran this long is sound: counting begins again. */
const SOUND_AFTER_MS = 60_000

/**
 * Clients are passed on to the engine of the moment. References to files outlive an engine: its successor learns them
 * before it is used. Jobs do not: their callers see ENGINE_GONE.
 */
export class EngineSupervisor {
  readonly #start: () => EngineProcess
  readonly #wait: (ms: number) => Promise<void>
  readonly #paths = new Map<FileRef, string>()
  readonly #listeners = new Set<() => void>()
  #process: EngineProcess | null = null
  #state: EngineState = { state: "starting", restarts: 0 }
  #failuresInRow = 0
  #isStopping = false

  /** `start` launches a process; its failure to start shows as its exit. `wait`: milliseconds before a restart. */
  constructor(start: () => EngineProcess, wait = waitIdly) {
    this.#start = start
    this.#wait = wait
  }

  get state(): EngineState {
    return this.#state
  }

  /** Process number of the engine of the moment. */
  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** Throws ENGINE_GONE while there is none; an engine that gave up is started again by this. */
  get engine(): HostClient {
    if (this.#state.state === "stopped" && !this.#isStopping) this.#revive()
    if (this.#process === null || this.#state.state !== "running")
      throw new AppError("ENGINE_GONE", "the engine is starting")
    return this.#process.engine
  }

  /** Resolves when the first engine answers. Throws ENGINE_GONE when none does. */
  async run(): Promise<void> {
    await this.#launch()
    await this.whenRunning()
  }

  /** A reference that stays good when the engine is started anew. */
  async refer(path: string): Promise<FileRef> {
    const file = await this.engine.files.refer({ path })
    this.#paths.set(file, path)
    return file
  }

  /** Resolves when an engine runs, at once if one does. Throws ENGINE_GONE when none will. */
  async whenRunning(): Promise<void> {
    for await (const { state } of this.watch(undefined)) {
      if (state === "running") return
      if (state === "stopped") throw new AppError("ENGINE_GONE", "the engine does not start")
    }
  }

  /** The state now and at every change, until the signal aborts. */
  async *watch(signal: AbortSignal | undefined): AsyncGenerator<EngineState, void> {
    let wake = () => {}
    const listener = () => wake()
    this.#listeners.add(listener)
    signal?.addEventListener("abort", listener)
    try {
      let seen: EngineState | null = null
      for (;;) {
        if (signal?.aborted === true) return
        if (seen !== this.#state) {
          seen = this.#state
          yield seen
          continue
        }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      this.#listeners.delete(listener)
      signal?.removeEventListener("abort", listener)
    }
  }

  /** Ends the engine for good; its jobs are cancelled first. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#process?.stop()
    this.#become("stopped")
  }

  async #launch(): Promise<void> {
    const startedAt = performance.now()
    const launched = this.#start()
    this.#process = launched
    void launched.exited.then(async () => this.#ended(launched, performance.now() - startedAt))
    try {
      // An answer proves that it runs, and this one makes the references of the library known again. Then it learns the
      // files of the engine before it.
      await launched.engine.library.packages().catch(passRefusal)
      for (const [file, path] of this.#paths) await launched.engine.files.refer({ path, as: file })
    } catch {
      return // it ended already, which is seen by its exit
    }
    if (this.#process === launched) this.#become("running")
  }

  async #ended(launched: EngineProcess, ranMs: number): Promise<void> {
    if (this.#process !== launched || this.#isStopping) return
    this.#process = null
    this.#failuresInRow = ranMs > SOUND_AFTER_MS ? 1 : this.#failuresInRow + 1
    const delay = RESTART_DELAYS_MS[this.#failuresInRow - 1]
    const restarts = this.#state.restarts + 1
    if (delay === undefined) {
      this.#become("stopped", restarts)
      return
    }
    this.#become("restarting", restarts)
    await this.#wait(delay)
    if (!this.#isStopping) await this.#launch()
  }

  #revive(): void {
    this.#failuresInRow = 0
    this.#become("restarting")
    void this.#launch()
  }

  #become(state: EngineState["state"], restarts = this.#state.restarts): void {
    this.#state = { state, restarts }
    for (const listener of this.#listeners) listener()
  }
}

/** Keeps no process alive by itself. */
async function waitIdly(ms: number): Promise<void> {
  await sleep(ms, undefined, { ref: false })
}

/** A refusal is an answer: a damaged record is shown where it is asked for, and everything else works. */
function passRefusal(error: unknown): void {
  if (!(error instanceof AppError) || error.code === "ENGINE_GONE") throw error
}
