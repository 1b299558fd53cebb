import { symlinkSync, writeFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { z } from "zod"
import { Records } from "../../../main/platform/workspace/records.ts"
import { temporaryFolder } from "../../support/workspace.ts"

function open() {
  const folder = temporaryFolder()
  const records = new Records(folder, z.strictObject({ n: z.number() }), {
    missing: "DEVICE_NOT_FOUND",
    exists: "DEVICE_EXISTS",
  })
  return { folder, records }
}

describe("a list of records", () => {
  test("is sorted by name, leaves out what is no record, and what went while it was read", async () => {
    const { folder, records } = open()
    for (const [name, n] of [
      ["b", 2],
      ["a", 1],
    ] as const)
      await records.add(name, { n })
    writeFileSync(path.join(folder, ".a.json.0123.partial"), "{")
    symlinkSync("gone", path.join(folder, "c.json"))
    expect(await records.list()).toEqual([{ n: 1 }, { n: 2 }])
  })

  test.each([
    ["is empty", ""],
    ["ends too early", '{"n":'],
    ["says more than it may", '{"n":1,"m":2}'],
  ])("is refused when one %s", async (_what, text) => {
    const { folder, records } = open()
    await records.add("a", { n: 1 })
    writeFileSync(path.join(folder, "b.json"), text)
    await expect(records.list()).rejects.toMatchObject({
      code: expect.stringMatching(/^(WORKSPACE_UNUSABLE|JSON_MALFORMED)$/),
    })
  })
})
