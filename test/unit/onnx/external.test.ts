import { describe, expect, it } from "vitest"
import { checkExternalLocation } from "../../../main/core/onnx/external-data.ts"
import { checkExternalSizes, readExternalFiles } from "../../../main/core/onnx/external-files.ts"
import { block, floats, int, join } from "../../support/protobuf.ts"
import {
  corpusFile,
  external,
  indexOf,
  model,
  modelWith,
  tensor,
  tensorOf,
  TYPE,
} from "../../support/onnx-models.ts"

describe("a location inside the model's folder", () => {
  it.each([
    "weights.bin",
    "model.onnx.data",
    "data/part-1/weights",
    ".hidden",
    "a..b",
    "...x",
    "gewichte-ä.bin",
    "重み",
    "with space.bin",
    "*",
  ])("is accepted: %j", (location) => {
    expect(checkExternalLocation(location)).toBeUndefined()
  })

  it.each([
    ["is empty", ""],
    ["is absolute", "/etc/passwd"],
    ["climbs", "../secret"],
    ["climbs behind a folder", "data/../../secret"],
    ["climbs at the end", "data/.."],
    ["is a dot", "."],
    ["has a dot segment", "data/./weights"],
    ["has an empty segment", "data//weights"],
    ["is a folder", "data/"],
    ["climbs where Windows drops a space", ".. /secret"],
    ["climbs where Windows drops a dot", ".../secret"],
    ["has a drive", "C:weights.bin"],
    ["has a drive and a root", "C:/weights.bin"],
    ["is a URL", "https://example.org/w"],
    ["is an alternate stream", "weights.bin:hidden"],
    ["has a backslash", "data\\weights"],
    ["climbs with backslashes", "..\\secret"],
    ["is a share", "\\\\server\\share"],
    ["has a NUL", "weights\0.bin"],
    ["has a line feed", "weights\n.bin"],
    ["has a C1 control", "weights\u0085.bin"],
    ["has half a surrogate pair", "weights\ud800.bin"],
    ["is an address in the runtime's memory", "*/_ORT_MEM_ADDR_/*"],
    ["is longer than a path may be", "a/".repeat(3000) + "b"],
  ])("is refused when it %s", async (_, location) => {
    await expect(() => checkExternalLocation(location)).toFailWithCode("ONNX_EXTERNAL_OUTSIDE")
  })

  it("is checked when the model is read", async () => {
    const bad = [block(13, block(1, "location"), block(2, Uint8Array.of(0xff))), int(14, 1)]
    await expect(indexOf(modelWith(TYPE.float, [1], ...bad))).toFailWithCode("ONNX_EXTERNAL_OUTSIDE")
    const climbing = external({ location: "../w" })
    await expect(indexOf(modelWith(TYPE.float, [1], climbing))).toFailWithCode("ONNX_EXTERNAL_OUTSIDE")
  })
})

describe("external values", () => {
  it("stand where offset and length say", async () => {
    const file = modelWith(TYPE.float, [3], external({ location: "w", offset: "4096", length: "12" }))
    expect((await tensorOf(file)).storage).toEqual({
      kind: "external",
      location: "w",
      offset: 4096,
      length: 12,
      checksum: null,
    })
  })

  it("start at 0 and have the length dims ask for when the model does not say", async () => {
    const file = modelWith(TYPE.float, [3], external({ location: "w" }))
    expect((await tensorOf(file)).storage).toMatchObject({ offset: 0, length: 12 })
  })

  it("keep the place of a checksum, so that it can be refreshed", async () => {
    const digest = "0123456789abcdef0123456789ABCDEF01234567"
    const file = modelWith(TYPE.float, [1], external({ checksum: digest, location: "w" }))
    const { storage } = await tensorOf(file)
    if (storage.kind !== "external" || storage.checksum === null) throw new Error("no checksum")
    const { offset } = storage.checksum
    expect(Buffer.from(file.subarray(offset, offset + 40)).toString()).toBe(digest)
    const odd = modelWith(TYPE.float, [1], external({ checksum: "sha1:00", location: "w" }))
    expect((await tensorOf(odd)).storage).toMatchObject({ checksum: null })
  })

  it("are ignored when the tensor does not say it is external", async () => {
    const entry = block(13, block(1, "location"), block(2, "../w"))
    expect((await tensorOf(modelWith(TYPE.float, [1], entry, block(9, floats(1))))).storage.kind).toBe("raw")
  })

  it("may lie far beyond 4 GiB", async () => {
    const offset = 2 ** 50
    const entries = { location: "w", offset: String(offset), length: "4000000000" }
    const file = modelWith(TYPE.float, [1_000_000_000], external(entries))
    expect((await tensorOf(file)).storage).toMatchObject({ offset, length: 4_000_000_000 })
  })

  it.each([
    ["no location", { offset: "0" }],
    ["a length other than dims ask for", { location: "w", length: "11" }],
    ["a length above", { location: "w", length: "13" }],
    ["a negative offset", { location: "w", offset: "-1" }],
    ["a signed offset", { location: "w", offset: "+1" }],
    ["an empty offset", { location: "w", offset: "" }],
    ["a hexadecimal offset", { location: "w", offset: "0x10" }],
    ["an exponent", { location: "w", offset: "1e3" }],
    ["a leading zero", { location: "w", offset: "010" }],
    ["a space", { location: "w", offset: " 1" }],
    ["a fraction", { location: "w", length: "12.0" }],
    ["foreign digits", { location: "w", offset: "١" }],
    ["an offset of 2^53", { location: "w", offset: "9007199254740992" }],
    ["an end beyond 2^53", { location: "w", offset: "9007199254740991" }],
  ])("are refused with %s", async (_, entries) => {
    await expect(indexOf(modelWith(TYPE.float, [3], external(entries)))).toFailWithCode("ONNX_MALFORMED")
  })

  it("are refused with a key that stands twice or values in the model as well", async () => {
    const twice = join(external({ location: "w" }), block(13, block(1, "location"), block(2, "v")))
    await expect(indexOf(modelWith(TYPE.float, [1], twice))).toFailWithCode("ONNX_MALFORMED")
    const both = [external({ location: "w" }), block(9, floats(1))]
    await expect(indexOf(modelWith(TYPE.float, [1], ...both))).toFailWithCode("ONNX_MALFORMED")
    const crowd = Array.from({ length: 100 }, (_, i) => block(13, block(1, `key${i}`)))
    await expect(indexOf(modelWith(TYPE.float, [1], ...crowd))).toFailWithCode("ONNX_MALFORMED")
  })
})

describe("external files", () => {
  const three = model(
    block(5, tensor("b", TYPE.float, [2], external({ location: "z.bin", offset: "8" }))),
    block(5, tensor("a", TYPE.float, [2], external({ location: "z.bin" }))),
    block(5, tensor("c", TYPE.int8, [5], external({ location: "a.bin", offset: "100" }))),
    block(5, tensor("d", TYPE.float, [1], block(9, floats(1)))),
  )

  it("are listed once, with the ranges that are used", async () => {
    const files = readExternalFiles(await indexOf(three))
    expect(files).toMatchObject([
      { location: "a.bin", minimumBytes: 105, ranges: [{ tensor: { name: "c" }, offset: 100, length: 5 }] },
      {
        location: "z.bin",
        minimumBytes: 16,
        ranges: [
          { tensor: { name: "a" }, offset: 0, length: 8 },
          { tensor: { name: "b" }, offset: 8, length: 8 },
        ],
      },
    ])
  })

  it("must exist and be long enough", async () => {
    const files = readExternalFiles(await indexOf(three))
    const check = (sizes: Readonly<Record<string, number>>): void => {
      checkExternalSizes(files, new Map(Object.entries(sizes)))
    }
    expect(check({ "a.bin": 105, "z.bin": 16, "other.bin": 0 })).toBeUndefined()
    await expect(() => check({ "a.bin": 104, "z.bin": 16 })).toFailWithCode("ONNX_EXTERNAL_SHORT")
    await expect(() => check({ "a.bin": 105, "z.bin": 15 })).toFailWithCode("ONNX_EXTERNAL_SHORT")
    await expect(() => check({ "a.bin": 105 })).toFailWithCode("ONNX_EXTERNAL_MISSING")
  })

  it("of the corpus fit", async () => {
    for (const name of ["fashion-cnn-external", "fashion-resnet-external"]) {
      const files = readExternalFiles(await indexOf(corpusFile(`${name}.onnx`)))
      expect(files.map(({ location }) => location)).toEqual([`${name}.bin`])
      const size = corpusFile(`${name}.bin`).length
      checkExternalSizes(files, new Map([[`${name}.bin`, size]]))
      await expect(() => checkExternalSizes(files, new Map([[`${name}.bin`, size - 1]]))).toFailWithCode(
        "ONNX_EXTERNAL_SHORT",
      )
    }
  })

  it("are none for a model in one file", async () => {
    expect(readExternalFiles(await indexOf(corpusFile("fashion-cnn.onnx")))).toEqual([])
  })
})
