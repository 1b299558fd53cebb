/** How a runtime process is started at a level: through the launcher where there is one, else as plain Node. */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { RuntimeLevel } from "../../contract/schema/runtime.ts"

export interface RuntimeCommand {
  readonly program: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/** `lastFile`: the highest descriptor the process keeps. */
export function runtimeCommand(goal: RuntimeLevel, lastFile: number): RuntimeCommand {
  if (goal === "R0" || whyNoLauncher() !== null) {
    return { program: process.execPath, args: [RUNTIME_ENTRY], env: childEnvironment() }
  }
  return {
    program: LAUNCHER,
    args: [goal, String(process.pid), String(lastFile), process.execPath, RUNTIME_ENTRY],
    env: childEnvironment(),
  }
}

/** Why levels above R0 are out of reach here whatever the kernel can do; `null` when they are not. */
export function whyNoLauncher(): string | null {
  if (process.platform !== "linux") return "only Linux has what this level needs"
  return existsSync(LAUNCHER) ? null : "the native launcher is not built"
}

/** Nothing of the user's environment reaches the runtime; the compile cache only saves start-up time. */
function childEnvironment(): NodeJS.ProcessEnv {
  const cache = process.env["NODE_COMPILE_CACHE"]
  return cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }
}

/** Sources end in .ts, a built product in .js. */
const RUNTIME_ENTRY = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "../../runtime/child.ts" : "../../runtime/child.js",
    import.meta.url,
  ),
)
const LAUNCHER = fileURLToPath(new URL("../../../native/build/Release/sealwright-runtime", import.meta.url))
