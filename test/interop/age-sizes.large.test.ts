/** Beyond what 32-bit sizes hold. Slow: writes and reads 15 GiB. */
import { expect, test } from "vitest"
import { roundTrips } from "../support/age-files.ts"
import { temporaryFolder } from "../support/workspace.ts"

test("3 GiB go both ways between our engine and age", async () => {
  const { plain, oursByAge, agesByUs } = await roundTrips(temporaryFolder(), 3 * 2 ** 30)
  expect([oursByAge, agesByUs]).toEqual([plain, plain])
})
