import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import path from "node:path"
import { expect, test } from "vitest"
import { sourceOf, type ByteSource } from "../../../main/core/bytes/source.ts"
import { isTar, readTar, TAR_END, tarHeader, tarPadding } from "../../../main/core/oci/tar.ts"
import { temporaryFolder } from "../../support/workspace.ts"

function archive(entries: readonly (readonly [name: string, text: string])[]): Buffer {
  return Buffer.concat([
    ...entries.flatMap(([name, text]) => [
      tarHeader(name, Buffer.byteLength(text)),
      Buffer.from(text),
      tarPadding(Buffer.byteLength(text)),
    ]),
    TAR_END,
  ])
}

const LONG = `${"folder/".repeat(20)}${"n".repeat(90)}.bin`
const LONGER = `${"f".repeat(180)}/${"ü".repeat(120)}.bin`

test("reads back names of every length and what lies in them", async () => {
  const bytes = archive([
    ["a", "one"],
    [LONG, "two"],
    [LONGER, "three"],
    ["empty", ""],
    ["päth/ü.onnx", "four"],
  ])
  const entries = await readTar(sourceOf(bytes))
  expect(entries.map(({ name }) => name)).toEqual(["a", LONG, LONGER, "empty", "päth/ü.onnx"])
  expect(entries.map(({ offset, size }) => bytes.subarray(offset, offset + size).toString())).toEqual([
    "one",
    "two",
    "three",
    "",
    "four",
  ])
})

test("GNU tar lists and unpacks what we write", () => {
  const folder = temporaryFolder()
  writeFileSync(
    path.join(folder, "x.tar"),
    archive([
      ["a.onnx", "one"],
      [LONG, "two"],
      [LONGER, "three"],
    ]),
  )
  const listed = execFileSync("tar", ["--quoting-style=literal", "-tf", path.join(folder, "x.tar")], {
    encoding: "utf8",
  })
  expect(listed.trim().split("\n")).toEqual(["a.onnx", LONG, LONGER])
  expect(execFileSync("tar", ["-xOf", path.join(folder, "x.tar"), LONGER], { encoding: "utf8" })).toBe(
    "three",
  )
})

test("a size beyond eleven octal digits is binary, and read back exactly", async () => {
  const size = 2 ** 40 + 12345
  const header = tarHeader("huge.bin", size)
  const end = 512 + Math.ceil(size / 512) * 512
  const source: ByteSource = {
    size: end + 1024,
    read: async (offset, length) => (offset === 0 ? header.subarray(0, length) : new Uint8Array(length)),
  }
  expect(await readTar(source)).toEqual([{ name: "huge.bin", offset: 512, size }])
})

test("the same input gives the same bytes, without owner or time", () => {
  const header = Buffer.from(tarHeader("a", 1))
  expect(header.subarray(108, 124).toString()).toBe("0000000\u00000000000\u0000")
  expect(header.subarray(136, 148).toString()).toBe("00000000000\u0000")
})

test.each(["", ".", "..", "a/../b", "/a", "a//b", "a/", "a\\b", "C:/a", "a\nb", "a\u0000b"])(
  "refuses to write the name %j",
  async (name) => {
    await expect(() => tarHeader(name, 0)).toFailWithCode("SEAL_UNSAFE_NAME")
  },
)

test("recognises a tar by its first block", () => {
  expect(isTar(tarHeader("a", 0))).toBe(true)
  expect(isTar(new Uint8Array(512))).toBe(false)
  expect(isTar(new Uint8Array(10))).toBe(false)
})
