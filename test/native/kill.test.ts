import { describe, test } from "vitest"
import { useDesk } from "../support/desk.ts"
import { killAtRandom } from "../support/killed-devices.ts"
import { useScanners } from "../support/memory-scanner.ts"
import { isRoot } from "../support/runtime-device.ts"

const desk = useDesk()
const newScanner = useScanners()

// Only root sees the working folder of a process that is not dumpable, which is how strays are found.
describe.runIf(process.platform === "linux" && isRoot)("SIGKILL at random points", () => {
  test(
    "15 times leaves no process and no plaintext, and the next start works",
    { timeout: 300_000 },
    async () => {
      await killAtRandom(desk, newScanner, 15, 20_260_101)
    },
  )
})
