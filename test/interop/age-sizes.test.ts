/** Payloads of every awkward size, sealed by our engine and opened by Debian's age, and the other way round. */
import { expect, test } from "vitest"
import { roundTrips } from "../support/age-files.ts"
import { temporaryFolder } from "../support/workspace.ts"

test.each([0, 1, 65_535, 65_536, 65_537, 10 << 20])("%i bytes go both ways", async (size) => {
  const { plain, oursByAge, agesByUs } = await roundTrips(temporaryFolder(), size)
  expect([oursByAge, agesByUs]).toEqual([plain, plain])
})
