import { test } from "vitest"
import { surviveRestarts } from "../support/restarts.ts"

test("a registry killed and started again at 50 points of uploads and 50 of downloads of 300 MiB loses no byte", async () => {
  await surviveRestarts(300, 50)
})
