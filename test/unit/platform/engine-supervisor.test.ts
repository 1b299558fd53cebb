/** An engine that ends is started anew, at most so often, and everybody who watches is told. */
import { expect, test } from "vitest"
import { AppError } from "../../../main/contract/errors.ts"
import type { EngineState } from "../../../main/contract/schema/shell.ts"
import type { EngineProcess } from "../../../main/platform/engine-process.ts"
import { EngineSupervisor } from "../../../main/platform/engine-supervisor.ts"

/** An engine in name only: it answers as `answer` does and ends when it is told to. */
interface Engine extends EngineProcess {
  readonly learnt: { readonly path: string; readonly as?: string }[]
  end(): void
}

/** A supervisor, the engines it started and the milliseconds it waited, none of which pass. */
function supervise(answer: () => Promise<readonly never[]> = async () => []) {
  const engines: Engine[] = []
  const waits: number[] = []
  const supervisor = new EngineSupervisor(
    () => {
      let end = () => {}
      const exited = new Promise<null>((resolve) => {
        end = () => resolve(null)
      })
      const learnt: Engine["learnt"] = []
      const engine = {
        library: { packages: answer },
        files: {
          refer: async (given: Engine["learnt"][number]) => {
            learnt.push(given)
            return "0123456789abcdef"
          },
        },
      } as unknown as EngineProcess["engine"] // all of an engine that is asked for here
      engines.push({ engine, learnt, pid: engines.length + 1, exited, end, stop: async () => end() })
      return engines.at(-1) as Engine // just pushed
    },
    async (ms) => void waits.push(ms),
  )
  return { supervisor, engines, waits }
}

/** States as they come, until one that `isLast` knows. */
async function watchUntil(
  supervisor: EngineSupervisor,
  isLast: (state: EngineState) => boolean,
): Promise<readonly string[]> {
  const seen: string[] = []
  for await (const state of supervisor.watch(undefined)) {
    seen.push(`${state.state} ${state.restarts}`)
    if (isLast(state)) break
  }
  return seen
}

test("starts the next engine with the references of the one before, and says so to all who watch", async () => {
  const { supervisor, engines, waits } = supervise()
  await supervisor.run()
  const file = await supervisor.refer("/models/a.onnx")
  const watching = [1, 2].map(async () =>
    watchUntil(supervisor, ({ state, restarts }) => state === "running" && restarts === 1),
  )
  engines[0]?.end()
  for (const seen of await Promise.all(watching)) {
    expect(seen[0]).toBe("running 0")
    expect(seen.slice(-2)).toEqual(["restarting 1", "running 1"])
  }
  expect(engines[1]?.learnt).toEqual([{ path: "/models/a.onnx", as: file }])
  expect(waits).toEqual([0])
})

test("waits longer each time, then stays down and says so, until somebody asks for it again", async () => {
  let isBroken = true
  const { supervisor, engines, waits } = supervise(async () => {
    if (!isBroken) return []
    engines.at(-1)?.end()
    throw new AppError("ENGINE_GONE", "the engine ended before it answered")
  })
  await expect(supervisor.run()).toFailWithCode("ENGINE_GONE")
  expect(waits).toEqual([0, 250, 1000, 3000])
  expect(supervisor.state).toEqual({ state: "stopped", restarts: 5 })
  expect(engines).toHaveLength(5)
  isBroken = false
  // Asked for, it is started, and whoever asked may ask again once it runs.
  expect(() => supervisor.engine).toThrow(AppError)
  await supervisor.whenRunning()
  expect(supervisor.engine).toBe(engines[5]?.engine)
  expect(waits).toHaveLength(4)
})

test("takes a refusal for an answer: a damaged record does not keep the window from its engine", async () => {
  const { supervisor } = supervise(async () => {
    throw new AppError("WORKSPACE_UNUSABLE", "the record of a is damaged")
  })
  await supervisor.run()
  expect(supervisor.state).toEqual({ state: "running", restarts: 0 })
})

test("does not take an engine for running that went before it answered", async () => {
  let answers = 0
  const { supervisor, engines } = supervise(async () => {
    answers += 1
    if (answers > 1) return []
    engines[0]?.end()
    throw new AppError("ENGINE_GONE", "the engine ended before it answered")
  })
  const states = watchUntil(supervisor, ({ state }) => state === "running")
  await supervisor.run()
  expect(await states).toEqual(["starting 0", "restarting 1", "running 1"])
})

test("starts nothing anew once it was told to stop", async () => {
  const { supervisor, engines } = supervise()
  await supervisor.run()
  await supervisor.stop()
  expect(supervisor.state.state).toBe("stopped")
  expect(() => supervisor.engine).toThrow(AppError)
  expect(engines).toHaveLength(1)
})
