import { test } from "vitest"
import { surviveRestarts } from "../support/restarts.ts"

test("a registry killed and started again at 4 points of an upload and 4 of a download loses no byte", async () => {
  await surviveRestarts(72, 4)
}, 120_000)
