import { it } from "vitest"
import { expectEmptyRoom } from "../../support/key-room.ts"
import { useScanners } from "../../support/memory-scanner.ts"

const newScanner = useScanners()

it("100 packages are sealed and opened with keys in a TPM and a token: no private scalar is in any process, file or core dump of ours, and file keys are gone after use", async () => {
  await expectEmptyRoom(newScanner, 100)
})
