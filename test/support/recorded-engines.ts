/** Engine processes as the shell starts them, kept so that a test can end one as a crash would. */
import type * as EngineProcessModule from "../../main/platform/engine-process.ts"

export const engines: EngineProcessModule.EngineProcess[] = []

/** For `vi.mock` of main/platform/engine-process.ts: the real module, whose engines are recorded. */
export async function recordEngines(
  original: () => Promise<typeof EngineProcessModule>,
): Promise<Pick<typeof EngineProcessModule, "startEngineProcess">> {
  const { startEngineProcess } = await original()
  return {
    startEngineProcess: (...given) => {
      const engine = startEngineProcess(...given)
      engines.push(engine)
      return engine
    },
  }
}
