/** The host's part of the contract for windows in a browser: files travel, results lie in the workspace. */
import { mkdir } from "node:fs/promises"
import path from "node:path"
import type { Shell } from "../contract/window-server.ts"
import type { EngineSupervisor } from "../platform/engine-supervisor.ts"
import { freeName } from "../platform/free-name.ts"
import { resultFile } from "../platform/result-file.ts"
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
      const target = await resultFile(located, inside)
      return { path: transfers.offer(target, how === "view") }
    },
  }
}
