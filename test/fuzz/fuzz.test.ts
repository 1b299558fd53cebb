/** The fuzzer at the size that fits a test run. `npm run fuzz` does any other. */
import { spawn } from "node:child_process"
import path from "node:path"
import { expect, test } from "vitest"
import { AGE_LIES } from "./age-lies.ts"
import { SEAL_LIES } from "./seal-lies.ts"

const COUNT = 100_000
const SEED = 20_260_101

test(
  "a hundred thousand lies about packages and payloads are refused, each with a code, quickly and in bounded memory",
  { timeout: 600_000 },
  async () => {
    const output = await run(["--count", String(COUNT), "--seed", String(SEED)])
    const kinds = Object.keys(AGE_LIES).length + Object.keys(SEAL_LIES).length
    expect(output).toContain(
      `fuzz: seed ${SEED}, ${COUNT} lies of ${kinds} kinds, 0 accepted, 0 crashes, 0 over 1 s`,
    )
  },
)

test("a reader that accepts a lie is found out", async () => {
  // The fuzzer checks first that the truth is accepted; here it is told as if it were a lie.
  const { Dice } = await import("./random.ts")
  const { makeAgeSamples } = await import("./age-samples.ts")
  const { readAge } = await import("./readers.ts")
  const [sample] = await makeAgeSamples(1)
  if (sample === undefined) throw new Error("no sample")
  expect(await readAge(sample.file, sample, new Dice(1, 1).below(2))).toBe("accepted")
})

async function run(args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "run.ts"), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text
  })
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", () => resolve(output))
  })
}
