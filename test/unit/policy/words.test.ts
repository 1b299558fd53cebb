/** The director's words to the devices of a bin as one document. */
import { Metadata, MetadataKind } from "@tufjs/models"
import { describe, expect, test } from "vitest"
import { readWords, toWords, type Run, type Word } from "../../../main/core/policy/words.ts"
import { toMetadataBytes } from "../../../main/core/tuf/signing.ts"

const EXPIRES = "2027-02-03T08:00:00Z"
const digest = (digit: string) => `sha256:${digit.repeat(64)}`
const RUN: Run = {
  release: "r1",
  ociManifest: digest("a"),
  policy: null,
  releaseCounter: 3,
  hardwareIds: ["any"],
  length: 400,
  sha256: "b".repeat(64),
  grant: digest("c"),
}
const word = (digit: string, run: Run | null, counter = 1): Word => ({
  deviceId: digit.repeat(32),
  counter,
  ring: "pilot",
  issuedAt: "2027-01-04T08:00:00.000Z",
  run,
})

type Json = Parameters<typeof Metadata.fromJSON>[1]

/** The words as a reader sees them, after `change`. */
function reread(words: readonly Word[], change: (text: string) => string = (text) => text) {
  const bytes = toMetadataBytes(toWords(words, 7, EXPIRES), [])
  const json = JSON.parse(change(Buffer.from(bytes).toString())) as Json
  return readWords(Metadata.fromJSON(MetadataKind.Targets, json).signed)
}

describe("words to a bin", () => {
  test("come back as they were said", () => {
    const words = [
      word("1", RUN),
      word("2", { ...RUN, grant: digest("d") }, 4),
      word("3", null, 9),
      word("4", { ...RUN, release: "r2", ociManifest: digest("e"), releaseCounter: 4 }),
    ]
    expect([...reread(words).values()]).toEqual(words)
  })

  test("say once what is the same for many", () => {
    const one = toMetadataBytes(toWords([word("1", RUN)], 7, EXPIRES), []).length
    const many = ["1", "2", "3", "4", "5"].map((digit) => word(digit, { ...RUN, grant: digest(digit) }))
    const more = toMetadataBytes(toWords(many, 7, EXPIRES), []).length - one
    // Id, counter and grant.
    expect(more / 4).toBeLessThan(140)
  })

  test.each<[string, (text: string) => string]>([
    ["a device that stands there twice", (text) => text.replaceAll("2".repeat(32), "1".repeat(32))],
    ["a release that is not described", (text) => text.replace('"release":"r1"', '"release":"r9"')],
    ["a counter that is none", (text) => text.replace('"counter":4', '"counter":0')],
    ["a device without an id", (text) => text.replace("2".repeat(32), "nobody")],
    ["a package without a grant", (text) => text.replaceAll(/,"grant":"[^"]*"/g, "")],
    ["fields nobody knows", (text) => text.replace('"ring"', '"more":1,"ring"')],
    ["nothing", (text) => text.replace("x-sealwright-deployments", "x-other")],
  ])("with %s are malformed", async (_what, change) => {
    const words = [word("1", RUN), word("2", { ...RUN, ociManifest: digest("f") }, 4)]
    await expect(() => reread(words, change)).toFailWithCode("METADATA_MALFORMED")
  })

  test("that describe one release in two ways are not signed", async () => {
    const words = [word("1", RUN), word("2", { ...RUN, releaseCounter: 4 })]
    await expect(() => toWords(words, 7, EXPIRES)).toFailWithCode("INTERNAL")
  })
})
