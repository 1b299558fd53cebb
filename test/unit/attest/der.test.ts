import { describe, expect, it } from "vitest"
import { readElements } from "../../../main/core/attest/der.ts"

const read = (hex: string) =>
  readElements(Buffer.from(hex, "hex"))?.map(({ tag, content }) => [
    tag,
    Buffer.from(content).toString("hex"),
  ])

describe("DER elements", () => {
  it.each([
    ["", []],
    ["0500", [[5, ""]]],
    [
      "0201070101ff",
      [
        [2, "07"],
        [1, "ff"],
      ],
    ],
    [`048180${"00".repeat(128)}`, [[4, "00".repeat(128)]]],
  ])("are read: %s", (hex, elements) => expect(read(hex)).toEqual(elements))

  it.each([
    ["a tag alone", "02"],
    ["content that is cut", "020207"],
    ["a long length that would fit in one octet", "02810107"],
    ["a length with a leading zero", `04820080${"00".repeat(128)}`],
    ["an indefinite length", "30800000"],
    ["a length of five octets", "04850000000001"],
    ["a length that is cut", "0482"],
    ["a tag of several octets", "1f0100"],
  ])("are not read from %s", (_, hex) => expect(read(hex)).toBeUndefined())
})
