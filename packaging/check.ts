/** `npm run check`: types, type-aware lint, import table, dead exports, format. All run; any failure fails. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"

const tsconfigs = ["main/contract", "main", "renderer", "packaging", "test"].filter((folder) =>
  existsSync(`${folder}/tsconfig.json`),
)

const steps: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ...tsconfigs.map((folder) => [`types ${folder}`, "tsc", "-p", folder] as const),
  ["lint", "oxlint", "--deny-warnings"],
  ["imports", "node", "packaging/check-imports.ts"],
  ["dead code", "knip"],
  ["format", "prettier", "--check", "--log-level", "warn", "."],
]

let failed = 0
for (const [name, command, ...args] of steps) {
  const startedAt = performance.now()
  const result = spawnSync(command, args, { stdio: "inherit" })
  const ok = result.status === 0
  if (!ok) failed += 1
  console.log(
    `${ok ? "ok    " : "FAILED"} ${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`,
  )
}
process.exit(failed === 0 ? 0 : 1)
