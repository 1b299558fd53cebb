/** The host's part of the contract for windows in a browser: files travel, results lie in the workspace. */
import { mkdir, stat } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../contract/errors.ts"
import type { Shell } from "../contract/window-server.ts"
import type { EngineSupervisor } from "../platform/engine-supervisor.ts"
import { freeName } from "../platform/free-name.ts"
import type { Transfers } from "./transfers.ts"

const FOLDERS = { package: "packages", report: "reports", exchange: "exchange" } as const

export function browserShell(supervisor: EngineSupervisor, transfers: Transfers, workspace: string): Shell {
  return {
    about: () => ({ kind: "browser" }),
    watch: (signal) => supervisor.watch(signal),
    upload: async ({ files }) => transfers.expect(files),
    async newOutput({ name, kind }) {
      const folder = path.join(workspace, FOLDERS[kind])
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const target = await freeName(folder, name)
      return { file: await supervisor.refer(target), name: path.basename(target) }
    },
    async fetch({ file, inside, how }) {
      const { path: located } = await supervisor.engine.files.locate({ file })
      if (inside !== null && (inside !== path.basename(inside) || inside === ".." || inside === "."))
        throw new AppError("FILE_NAME_UNSAFE", "the name inside a folder leads elsewhere")
      const target = inside === null ? located : path.join(located, inside)
      const stats = await stat(target).catch(() => null)
      if (stats?.isFile() !== true)
        throw new AppError("FILE_NOT_FOUND", `${path.basename(target)} does not exist`)
      return { path: transfers.offer(target, how === "view") }
    },
  }
}
