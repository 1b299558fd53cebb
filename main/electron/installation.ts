/** Where the parts of this installation lie: packed by electron-builder, or a checkout. */
import path from "node:path"
import { app } from "electron"
import type { EngineProgram } from "../platform/engine-process.ts"

export interface Installation {
  readonly engine: EngineProgram
  /** Folder of the engine and what it reads; results never go there. */
  readonly root: string
  /** The built user interface. */
  readonly pages: string
  readonly preload: string
}

export function findInstallation(): Installation {
  const home = app.getAppPath()
  const isWindows = process.platform === "win32"
  const program = isWindows ? "node.exe" : "node"
  const env = engineEnvironment(process.env)
  if (app.isPackaged) {
    const root = path.join(process.resourcesPath, "engine")
    return {
      engine: {
        node: path.join(root, "bin", program),
        entry: path.join(root, "main", "host", "stdio.js"),
        env,
      },
      root,
      pages: path.join(home, "renderer"),
      preload: path.join(home, "shell", "preload.cjs"),
    }
  }
  const bundled = `node-${isWindows ? "win" : process.platform}-${process.arch}`
  return {
    engine: {
      node: path.join(home, "node_modules", bundled, "bin", program),
      entry: path.join(home, "main", "host", "stdio.ts"),
      env: { NODE_COMPILE_CACHE: path.join(home, "node_modules", ".cache", "sealwright", "code"), ...env },
    },
    root: home,
    pages: path.join(home, "dist", "renderer"),
    preload: path.join(home, "dist", "shell", "preload.cjs"),
  }
}

/** Without the variables that make Node or Electron load or open something. */
function engineEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !/^(NODE_(OPTIONS|PATH|REPL_|V8_|INSPECT|DEBUG)|ELECTRON_)/i.test(name),
    ),
  )
}
