/**
 * Runs the suites and ends with one line: `N passed, N failed`. `--large` runs only the suites that need gigabytes
 * (`*.large.test.ts`); without it they are left out. Further arguments go to vitest as file filters.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync } from "node:fs"
import path from "node:path"

interface Assertion {
  readonly fullName: string
  readonly status: string
  /** Of every try, also when a later one passed. */
  readonly failureMessages?: readonly string[]
}

interface Results {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numFailedTestSuites: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly Assertion[]
  }[]
}

const root = path.resolve(import.meta.dirname, "..")
const large = process.argv.includes("--large")
const filters = process.argv.slice(2).filter((argument) => argument !== "--large")
const resultsFile = path.join(root, "test-results", "results.json")
mkdirSync(path.dirname(resultsFile), { recursive: true })
rmSync(resultsFile, { force: true })

const vitest = path.join(root, "node_modules", "vitest", "vitest.mjs")
const run = spawnSync(
  process.execPath,
  [vitest, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${resultsFile}`, ...filters],
  { cwd: root, stdio: "inherit", env: { ...process.env, SEALWRIGHT_LARGE_TESTS: large ? "1" : "0" } },
)

const results = readResults()
// A file that fails outside its tests (an import that throws, say) has no failing test of its own to count.
const brokenFiles = results.testResults.filter(
  (file) => file.status === "failed" && file.assertionResults.length === 0,
).length
const failed = results.numFailedTests + brokenFiles
for (const { fullName, status, failureMessages = [] } of results.testResults.flatMap(
  (file) => file.assertionResults,
)) {
  const [reason] = failureMessages
  if (status === "passed" && reason !== undefined)
    console.log(`second try: ${fullName}: ${reason.split("\n")[0] ?? ""}`)
}
const skipped = results.numPendingTests > 0 ? `, ${results.numPendingTests} skipped` : ""
console.log(`${results.numPassedTests} passed, ${failed} failed${skipped}`)
process.exit(run.status === 0 && failed === 0 && results.numPassedTests > 0 ? 0 : 1)

function readResults(): Results {
  try {
    // The file is vitest's own report, in the shape its documentation gives.
    return JSON.parse(readFileSync(resultsFile, "utf8")) as Results
  } catch {
    console.log("0 passed, 1 failed")
    return process.exit(1)
  }
}
