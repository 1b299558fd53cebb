/** Arrays people have, fitted to the inputs a model wants, or refused with both shapes named. */
import { writeFileSync } from "node:fs"
import path from "node:path"
import { expect, test } from "vitest"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import { fromFloat16 } from "../../../main/core/bytes/float16.ts"
import { writeNpyHeader, type NpyDtype } from "../../../main/core/bytes/npy-header.ts"
import { localFiles } from "../../../main/platform/files.ts"
import { openFeed } from "../../../main/services/feed.ts"
import { toNumbers } from "../../../main/services/statistics.ts"
import { temporaryFolder } from "../../support/workspace.ts"

function prepare() {
  const folder = temporaryFolder()
  const files = localFiles()
  let count = 0
  const array = (dtype: NpyDtype, shape: readonly number[], data: ArrayBufferView): FileRef => {
    const file = path.join(folder, `${count++}.npy`)
    writeFileSync(file, Buffer.concat([writeNpyHeader(dtype, shape), new Uint8Array(data.buffer)]))
    return files.refer(file)
  }
  return { files, array }
}

const image = { name: "x", type: "float32", shape: ["batch", 1, 2, 2] }
const request = (file: FileRef, more: object = {}) => ({
  inputs: [{ name: null, file }],
  normalise: null,
  batch: null,
  ...more,
})

test("adds the channel axis a data set leaves out and normalises bytes", async () => {
  const { files, array } = prepare()
  const file = array(
    "uint8",
    [3, 2, 2],
    Uint8Array.from({ length: 12 }, (_, i) => i * 20),
  )
  const feed = await openFeed(files, request(file, { normalise: { mean: 0.5, std: 0.25 }, batch: 2 }), [
    image,
  ])
  expect([feed.rows, feed.batch]).toEqual([3, 2])
  expect(feed.conversions).toEqual([
    "reshaped rows of [2, 2] to [1, 2, 2]",
    "normalised as (x/255 - 0.5) / 0.25",
    "converted uint8 to float32",
  ])
  const [last] = await feed.batchAt(2)
  expect(last).toMatchObject({ name: "x", type: "float32", shape: [1, 1, 2, 2] })
  const expected = [160, 180, 200, 220].map((x) => Math.fround((x / 255 - 0.5) / 0.25))
  expect(toNumbers(last ?? { type: "", data: new Uint8Array() })).toEqual(expected)
  await feed.close()
})

test("passes data that fits through unchanged", async () => {
  const { files, array } = prepare()
  const data = Float32Array.from({ length: 8 }, Math.random)
  const feed = await openFeed(files, request(array("float32", [2, 1, 2, 2], data)), [image])
  expect(feed.conversions).toEqual([])
  const [tensor] = await feed.batchAt(0)
  expect(Buffer.compare(tensor?.data ?? Buffer.alloc(0), new Uint8Array(data.buffer))).toBe(0)
})

test("converts between float widths and from whole numbers, and says so", async () => {
  const { files, array } = prepare()
  const half = await openFeed(files, request(array("float64", [2, 1], Float64Array.of(1.5, -2))), [
    { name: "x", type: "float16", shape: [null, 1] },
  ])
  const [bits] = await half.batchAt(0)
  expect([...new Uint16Array(Uint8Array.from(bits?.data ?? []).buffer)].map(fromFloat16)).toEqual([1.5, -2])
  const wide = await openFeed(files, request(array("int32", [2], Int32Array.of(-7, 9))), [
    { name: "x", type: "int64", shape: [null] },
  ])
  const [whole] = await wide.batchAt(0)
  expect([...new BigInt64Array(Uint8Array.from(whole?.data ?? []).buffer)]).toEqual([-7n, 9n])
  expect(wide.conversions).toEqual(["converted int32 to int64"])
})

test("takes the batch a model fixes, and everything at once where inputs share none", async () => {
  const { files, array } = prepare()
  const fixed = await openFeed(files, request(array("float32", [6, 1], new Float32Array(6))), [
    { name: "x", type: "float32", shape: [2, 1] },
  ])
  expect([fixed.rows, fixed.batch]).toEqual([6, 2])
  const inputs = [
    { name: "a", file: array("float32", [4, 2], new Float32Array(8)) },
    { name: "sr", file: array("int64", [], BigInt64Array.of(16000n)) },
  ]
  const wanted = [
    { name: "a", type: "float32", shape: [null, 2] },
    { name: "sr", type: "int64", shape: [] },
  ]
  const whole = await openFeed(files, { inputs, normalise: null, batch: null }, wanted)
  const tensors = await whole.batchAt(0)
  expect(tensors.map(({ shape }) => shape)).toEqual([[4, 2], []])
})

test("refuses what does not fit", async () => {
  const { files, array } = prepare()
  const floats = array("float32", [2, 3, 3], new Float32Array(18))
  const refused = async (
    wanted: readonly { name: string; type: string; shape: (number | string | null)[] }[],
    more: object = {},
    file = floats,
  ) => expect(openFeed(files, request(file, more), wanted)).toFailWithCode("INPUT_MISMATCH")
  await refused([image])
  await refused([{ name: "x", type: "int64", shape: [null, 3, 3] }])
  await refused([{ name: "x", type: "int64", shape: [null, 3, 3] }], { normalise: { mean: 0, std: 1 } })
  await refused([{ name: "x", type: "float32", shape: [4, 3, 3] }])
  await refused([{ name: "x", type: "float32", shape: [1, 3, 3] }], { batch: 2 })
  await refused([image, { ...image, name: "y" }])
  await refused([image], {}, array("float32", [0, 1, 2, 2], new Float32Array(0)))
})
