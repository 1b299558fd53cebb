/** How a runtime process is started at a level: through the launcher where there is one, else as plain Node. */
import { existsSync, realpathSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import type { RuntimeLevel } from "../../contract/schema/runtime.ts"

export interface RuntimeCommand {
  readonly program: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/** `lastFile`: the highest descriptor the process keeps. */
export function runtimeCommand(goal: RuntimeLevel, lastFile: number): RuntimeCommand {
  const env = childEnvironment()
  // Without its signal nobody can open the inspector; without a configuration OpenSSL loads nothing of the machine's.
  const node = ["--disable-sigusr1", "--openssl-config=/dev/null", RUNTIME_ENTRY]
  if (goal === "R0" || whyNoLauncher() !== null) {
    const args = process.platform === "win32" ? [RUNTIME_ENTRY] : node
    return { program: process.execPath, args, env }
  }
  const readable = READABLE.filter((name) => existsSync(name))
  const own = [goal, String(process.pid), String(lastFile), HEAP, String(readable.length), ...readable]
  return { program: LAUNCHER, args: [...own, process.execPath, ...node], env }
}

/** Why levels above R0 are out of reach here whatever the kernel can do; `null` when they are not. */
export function whyNoLauncher(): string | null {
  if (process.platform !== "linux") return "only Linux has what this level needs"
  return existsSync(LAUNCHER) && existsSync(HEAP) ? null : "the native launcher is not built"
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
const ROOT = fileURLToPath(new URL("../../../", import.meta.url))
const BUILD = path.join(ROOT, "native", "build", "Release")
const LAUNCHER = path.join(BUILD, "sealwright-runtime")
const HEAP = path.join(BUILD, "libsealheap.node")
/** All the runtime may read: the program itself, never the workspace. */
const READABLE = [
  ...["main", "native", "node_modules", "package.json"].map((name) => path.join(ROOT, name)),
  realpathSync(process.execPath),
]
