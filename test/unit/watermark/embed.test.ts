import { createHash } from "node:crypto"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { sourceOf, type ByteSource } from "../../../main/core/bytes/source.ts"
import { fromFloat16, toFloat16 } from "../../../main/core/bytes/float16.ts"
import { stretchesOf } from "../../../main/core/onnx/elements.ts"
import { planTensors } from "../../../main/core/watermark/budget.ts"
import { closeCarriers, openCarriers } from "../../../main/core/watermark/carriers.ts"
import type { Carrier, Edition } from "../../../main/core/watermark/embed.ts"
import { fromBfloat16, toBfloat16 } from "../../../main/core/watermark/kernel.ts"
import { ModelMarker, STRETCH_BYTES } from "../../../main/core/watermark/marker.ts"
import { measureOriginal, readWholeCanonical, rowIndex } from "../../../main/core/watermark/original.ts"
import { OverlayMaker } from "../../../main/core/watermark/overlay-maker.ts"
import { applyOverlay } from "../../../main/core/watermark/overlay-apply.ts"
import { readOverlay } from "../../../main/core/watermark/overlay.ts"
import { strengthOf, type PlannedTensor } from "../../../main/core/watermark/plan.ts"
import { CODE, DECOY } from "../../../main/core/watermark/streams.ts"
import { codeWordBits } from "../../../main/core/watermark/tardos.ts"
import { block, join, tag, varint, type Bytes } from "../../support/protobuf.ts"
import { corpusFile, external, graphOf, model, tensor, TYPE } from "../../support/onnx-models.ts"

const MASTER = new Uint8Array(32).fill(5)
const word = { device: 7, attempt: 0 }
const INDIVIDUAL: Edition = { kind: "individual", word }
const FLEET: Edition = { kind: "fleet", word }
const BASE: Edition = { kind: "base" }

interface Loaded {
  readonly files: readonly Uint8Array[]
  readonly locations: readonly (string | null)[]
  readonly planned: readonly PlannedTensor[]
  readonly carriers: readonly Carrier[]
  readonly sources: (location: string | null) => ByteSource
}

async function load(
  bytes: Uint8Array,
  strength = 0.01,
  data?: Uint8Array,
  plan?: readonly PlannedTensor[],
): Promise<Loaded> {
  const graph = await graphOf(bytes)
  const locations = [
    null,
    ...new Set(
      graph.tensors.flatMap(({ storage }) => (storage.kind === "external" ? [storage.location] : [])),
    ),
  ]
  const files = locations.map((location) =>
    location === null ? bytes : (data ?? corpusFile(path.basename(location))),
  )
  const sources = (location: string | null) =>
    sourceOf(files[locations.indexOf(location)] ?? new Uint8Array(0))
  const { tensors } = await measureOriginal(graph, sources)
  const planned =
    plan ??
    planTensors(
      tensors,
      tensors.map(() => strength),
    )
  return { files, locations, sources, planned, carriers: openCarriers(MASTER, tensors, planned) }
}

/** The files of a model marked in one go, at odd places of a plaintext so that elements are cut. */
async function mark(loaded: Loaded, edition: Edition, stretch: number): Promise<readonly Uint8Array[]> {
  let start = 0
  const places = loaded.files.map((bytes, index) => {
    const place = { location: loaded.locations[index] ?? null, start: start + 513, size: bytes.length }
    start = place.start + bytes.length
    return place
  })
  const checksums = (await graphOf(loaded.files[0] ?? new Uint8Array(0))).tensors.flatMap(({ storage }) =>
    storage.kind === "external" && storage.checksum !== null
      ? [{ location: storage.location, offset: storage.checksum.offset }]
      : [],
  )
  const marker = await ModelMarker.prepare(loaded.carriers, places, loaded.sources, checksums)
  const marked = await marker.edition(edition)
  const plain = new Uint8Array(start)
  places.forEach((place, index) => plain.set(loaded.files[index] ?? new Uint8Array(0), place.start))
  for (let at = 0; at < plain.length; at += stretch) marked.apply(at, plain.subarray(at, at + stretch))
  return places.map(({ start: from, size }) => plain.slice(from, from + size))
}

/** Every byte that differs, as places in the file. */
function changes(a: Uint8Array, b: Uint8Array): readonly number[] {
  expect(b.length).toBe(a.length)
  return [...a.keys()].filter((at) => a[at] !== b[at])
}

const MODELS = [
  "fashion-cnn.onnx",
  "fashion-cnn-external.onnx",
  "fashion-cnn-fp16.onnx",
  "fashion-cnn-int8-qdq.onnx",
  "fashion-cnn-int8-qdq-pertensor.onnx",
  "fashion-vit.onnx",
  "mnist-ms.onnx",
]

describe("patching in place", () => {
  test.each(MODELS)("%s keeps its size and changes only where weights stand", async (name) => {
    const loaded = await load(corpusFile(name))
    const spans = loaded.carriers.flatMap(({ tensor }) =>
      tensor.places.flatMap((place) =>
        (stretchesOf(place.tensor) ?? []).map((stretch) => ({
          file: loaded.locations.indexOf(stretch.location),
          from: stretch.offset,
          to: stretch.offset + stretch.count * stretch.stride,
        })),
      ),
    )
    for (const edition of [INDIVIDUAL, BASE, FLEET]) {
      const marked = await mark(loaded, edition, STRETCH_BYTES)
      let changed = 0
      marked.forEach((bytes, file) => {
        for (const at of changes(loaded.files[file] ?? bytes, bytes)) {
          changed += 1
          if (!spans.some((span) => span.file === file && at >= span.from && at < span.to))
            throw new Error(`byte ${at} of file ${file} is no weight`)
        }
      })
      expect(changed).toBeGreaterThan(1000)
    }
    closeCarriers(loaded.carriers)
  })

  test.each(MODELS)("%s is marked alike in any stretches a payload is handed over in", async (name) => {
    const loaded = await load(corpusFile(name))
    for (const edition of [INDIVIDUAL, BASE, FLEET]) {
      const whole = await mark(loaded, edition, 1 << 30)
      expect(await mark(loaded, edition, STRETCH_BYTES)).toEqual(whole)
      expect(await mark(loaded, edition, 3 * STRETCH_BYTES)).toEqual(whole)
    }
  })

  test("the same model, key and device give the same bytes; another device gives others", async () => {
    const bytes = corpusFile("fashion-mlp.onnx")
    const [first] = await mark(await load(bytes), INDIVIDUAL, 1 << 30)
    expect(await mark(await load(bytes), INDIVIDUAL, 1 << 30)).toEqual([first])
    const other: Edition = { kind: "individual", word: { device: 8, attempt: 0 } }
    const [second] = await mark(await load(bytes), other, 1 << 30)
    expect(changes(first ?? bytes, second ?? bytes).length).toBeGreaterThan(10_000)
  })

  test("the checksum of external data follows what it speaks of", async () => {
    const values = new Uint8Array(Float32Array.from({ length: 640 }, (_, i) => Math.sin(i)).buffer)
    const sha1 = (bytes: Uint8Array) => createHash("sha1").update(bytes).digest("hex")
    const bytes = model(
      block(1, block(1, "x"), block(1, "w"), block(2, "y"), block(4, "MatMul")),
      block(5, tensor("w", TYPE.float, [32, 20], external({ location: "w.bin", checksum: sha1(values) }))),
    )
    const loaded = await load(bytes, 0.01, values)
    const [head, data] = await mark(loaded, INDIVIDUAL, STRETCH_BYTES)
    if (head === undefined || data === undefined) throw new Error("two files")
    expect(changes(values, data).length).toBeGreaterThan(100)
    expect(Buffer.from(head).includes(sha1(data))).toBe(true)
    expect(Buffer.from(head).includes(sha1(values))).toBe(false)
  })
})

describe("what is written", () => {
  test("a float weight moves by σ·β·(s0 + s·(2x - 1)), batch norm taken into account", async () => {
    const bytes = corpusFile("fashion-resnet.onnx")
    const loaded = await load(bytes)
    const [marked] = await mark(loaded, INDIVIDUAL, 1 << 30)
    for (const { tensor, parameters, streams } of loaded.carriers) {
      const before = await readWholeCanonical(tensor, loaded.sources)
      const after = await readWholeCanonical(tensor, () => sourceOf(marked ?? bytes))
      const count = tensor.elementCount
      const [s0, s] = [streams.ownerSigns(0, count), streams.codeSigns(0, count)]
      const x = codeWordBits(streams.biasBytes(0, count), streams.wordBytes(word, 0, count))
      const rowOf = rowIndex(tensor)
      for (let i = 0; i < count; i += 97) {
        const sigma = tensor.sigmas[rowOf(i)] ?? 0
        const sign = (bit: number | undefined) => 2 * (bit ?? 0) - 1
        const expected = strengthOf(parameters.strength) * (sign(s0[i]) + sign(s[i]) * sign(x[i]))
        const moved = ((after[i] ?? 0) - (before[i] ?? 0)) / (sigma || 1)
        expect(Math.abs(moved - (before[i] === 0 ? 0 : expected))).toBeLessThan(1e-4)
      }
    }
  })

  test("quantised weights move by one step at most, in their two disjoint sets", async () => {
    const bytes = corpusFile("fashion-cnn-int8-qdq.onnx")
    const loaded = await load(bytes)
    const [marked] = await mark(loaded, INDIVIDUAL, 1 << 30)
    for (const { tensor } of loaded.carriers) {
      const [place] = tensor.places
      const [stretch] = place === undefined ? [] : (stretchesOf(place.tensor) ?? [])
      if (stretch === undefined) throw new Error("stored in one stretch")
      const steps = [...Array(stretch.count).keys()].map(
        (i) => (((marked?.[stretch.offset + i] ?? 0) - (bytes[stretch.offset + i] ?? 0) + 384) % 256) - 128,
      )
      expect(steps.every((step) => Math.abs(step) <= 1)).toBe(true)
      const share = steps.filter((step) => step !== 0).length / steps.length
      expect(share).toBeGreaterThan(0.03)
      expect(share).toBeLessThan(1)
    }
  })

  test("a bfloat16 weight moves to the nearest of its type, and the fleet's overlay assembles the same bytes", async () => {
    const count = 64 * 128
    const stored = Uint16Array.from({ length: count }, (_, i) => toBfloat16(Math.sin(i * 1.3) / 4))
    const bytes = model(
      block(1, block(1, "x"), block(1, "w"), block(2, "y"), block(4, "MatMul")),
      block(5, tensor("w", TYPE.bfloat16, [64, 128], block(9, new Uint8Array(stored.buffer)))),
    )
    const loaded = await load(bytes)
    const [carrier] = loaded.carriers
    if (carrier === undefined) throw new Error("there is a carrier")
    const { tensor: measured, parameters, streams } = carrier
    const [marked] = await mark(loaded, INDIVIDUAL, 1 << 30)
    const after = await readWholeCanonical(measured, () => sourceOf(marked ?? bytes))
    const [s0, s] = [streams.ownerSigns(0, count), streams.codeSigns(0, count)]
    const x = codeWordBits(streams.biasBytes(0, count), streams.wordBytes(word, 0, count))
    const sign = (bit: number | undefined) => 2 * (bit ?? 0) - 1
    let moved = 0
    after.forEach((value, i) => {
      const before = fromBfloat16(stored[i] ?? 0)
      const sigma = measured.sigmas[i % 128] ?? 0
      const amount = sigma * strengthOf(parameters.strength) * (sign(s0[i]) + sign(s[i]) * sign(x[i]))
      expect(value).toBe(before === 0 ? 0 : fromBfloat16(toBfloat16(Math.fround(before + amount))))
      if (value !== before) moved += 1
    })
    // The step of a bfloat16 is smaller than the mark for all weights but the largest, and half of the sums are zero by their signs.
    expect(moved).toBeGreaterThan(count / 4)
    const [fleet] = await mark(loaded, FLEET, 1 << 30)
    const [base] = await mark(loaded, BASE, 1 << 30)
    const kinds = streams.subset(0, count, parameters)
    const at = (file: Uint8Array | undefined) => readWholeCanonical(measured, () => sourceOf(file ?? bytes))
    const [assembled, payload] = [await at(fleet), await at(base)]
    for (const [i, kind] of kinds.entries()) if (kind === 0) expect(assembled[i]).toBe(payload[i])
  })

  test("exact zeros stay exact zeros in every edition", async () => {
    const values = Float32Array.from({ length: 6400 }, (_, i) => (i % 3 === 0 ? 0 : Math.sin(i)))
    const bytes = model(
      block(1, block(1, "x"), block(1, "w"), block(2, "y"), block(4, "MatMul")),
      block(5, tensor("w", TYPE.float, [80, 80], block(9, new Uint8Array(values.buffer)))),
    )
    const loaded = await load(bytes)
    const [carrier] = loaded.carriers
    if (carrier === undefined) throw new Error("there is a carrier")
    for (const edition of [INDIVIDUAL, FLEET]) {
      const [marked] = await mark(loaded, edition, 1 << 30)
      const after = await readWholeCanonical(carrier.tensor, () => sourceOf(marked ?? bytes))
      values.forEach((value, i) => expect(value === 0).toBe(after[i] === 0))
    }
  })

  test("filler in the payload tells nothing of the weights, and lies in S and the decoys alone", async () => {
    const bytes = corpusFile("fashion-mlp.onnx")
    const loaded = await load(bytes)
    const [base] = await mark(loaded, BASE, 1 << 30)
    const [fleet] = await mark(loaded, FLEET, 1 << 30)
    const [carrier] = loaded.carriers
    if (carrier === undefined) throw new Error("there is a carrier")
    const { tensor, streams, parameters } = carrier
    const [original, filler, assembled] = await Promise.all(
      [bytes, base, fleet].map(async (file) => readWholeCanonical(tensor, () => sourceOf(file ?? bytes))),
    )
    const kinds = streams.subset(0, tensor.elementCount, parameters)
    const inside = [...kinds.keys()].filter((i) => kinds[i] !== 0)
    expect(inside.length / kinds.length).toBeCloseTo((0.2 * 9) / 8, 1)
    for (const [i, kind] of kinds.entries()) if (kind === 0) expect(filler?.[i]).toBe(assembled?.[i])
    const correlation = correlate(
      inside.map((i) => filler?.[i] ?? 0),
      inside.map((i) => original?.[i] ?? 0),
    )
    expect(Math.abs(correlation)).toBeLessThan(4 / Math.sqrt(inside.length))
    const spread = (list: readonly number[]) =>
      Math.sqrt(list.reduce((sum, v) => sum + v * v, 0) / list.length)
    expect(
      spread(inside.map((i) => filler?.[i] ?? 0)) / spread(inside.map((i) => original?.[i] ?? 0)),
    ).toBeCloseTo(1, 0)
    expect(kinds.includes(CODE) && kinds.includes(DECOY)).toBe(true)
  })
})

describe("fleet", () => {
  test.each([...MODELS, "fashion-resnet.onnx", "fashion-cnn-fp16.onnx"])(
    "%s: an overlay over the payload is, byte for byte, the model embedded directly",
    async (name) => {
      const loaded = await load(corpusFile(name))
      const direct = await mark(loaded, FLEET, 1 << 30)
      const base = await mark(loaded, BASE, STRETCH_BYTES)
      let start = 0
      const files = loaded.files.map((bytes, index) => {
        start += bytes.length
        return { location: loaded.locations[index] ?? null, start: start - bytes.length, size: bytes.length }
      })
      const maker = await OverlayMaker.prepare(loaded.carriers, files, loaded.sources)
      const values = maker.values(word)
      const binding = { base: Buffer.alloc(32), model: Buffer.alloc(32), device: Buffer.alloc(32) }
      const overlay = maker.overlay(values, { ...binding, deviceSalt: Buffer.alloc(16) })
      if (overlay === null) throw new Error("the model has a subset")
      const plain = Buffer.concat(base)
      let offset = 0
      const places = base.map(({ length: size }) => {
        offset += size
        return { offset: offset - size, size }
      })
      applyOverlay(readOverlay(overlay), plain, places)
      expect(plain.equals(Buffer.concat(direct))).toBe(true)

      const marker = await ModelMarker.prepare(loaded.carriers, files, loaded.sources, [])
      const digests = await maker.digests([values], await marker.edition(BASE), files, loaded.sources)
      expect(digests[0]?.map((digest) => Buffer.from(digest).toString("hex"))).toEqual(
        direct.map((bytes) => createHash("sha256").update(bytes).digest("hex")),
      )
    },
  )
})

describe("values without fixed places", () => {
  const halves = Uint16Array.from({ length: 1280 }, (_, i) => toFloat16(Math.sin(i * 1.3) / 4))
  const floats = Float32Array.from({ length: 1280 }, (_, i) => Math.sin(i * 1.3) / 4)
  const layer = block(1, block(1, "x"), block(1, "w"), block(2, "y"), block(4, "MatMul"))
  const weight = (type: number, ...fields: readonly Bytes[]) =>
    model(layer, block(5, tensor("w", type, [64, 20], ...fields)))

  test("float_data in single fields is marked like raw_data", async () => {
    const raw = new Uint8Array(floats.buffer)
    const single = Array.from(floats, (_, i) => join(tag(4, 5), raw.subarray(4 * i, 4 * i + 4)))
    const loaded = await load(weight(TYPE.float, ...single))
    const [marked] = await mark(loaded, INDIVIDUAL, STRETCH_BYTES)
    const reference = await load(weight(TYPE.float, block(9, raw)), 0.01, undefined, loaded.planned)
    const [expected] = await mark(reference, INDIVIDUAL, 1 << 30)
    const read = async (from: Loaded, bytes: Uint8Array | undefined) => {
      const [carrier] = from.carriers
      if (carrier === undefined || bytes === undefined) throw new Error("there is a carrier")
      return readWholeCanonical(carrier.tensor, () => sourceOf(bytes))
    }
    expect(await read(loaded, marked)).toEqual(await read(reference, expected))
  })

  test("float16 in varints keeps every encoded length, and most weights move", async () => {
    const bytes = weight(TYPE.float16, block(5, ...Array.from(halves, (half) => varint(half))))
    const loaded = await load(bytes)
    const [marked] = await mark(loaded, INDIVIDUAL, STRETCH_BYTES)
    const [carrier] = loaded.carriers
    if (carrier === undefined || marked === undefined) throw new Error("there is a carrier")
    // It still parses, so no varint changed its length.
    const after = (await measureOriginal(await graphOf(marked), () => sourceOf(marked))).tensors
    expect(after.length).toBe(1)
    const values = await readWholeCanonical(carrier.tensor, () => sourceOf(marked))
    const moved = values.filter((value, i) => value !== fromFloat16(halves[i] ?? 0)).length
    expect(moved).toBeGreaterThan(400)
  })
})

function correlate(a: readonly number[], b: readonly number[]): number {
  const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length
  const [ma, mb] = [mean(a), mean(b)]
  const sum = (f: (i: number) => number) => a.reduce((total, _, i) => total + f(i), 0)
  const da = (i: number) => (a[i] ?? 0) - ma
  const db = (i: number) => (b[i] ?? 0) - mb
  return sum((i) => da(i) * db(i)) / Math.sqrt(sum((i) => da(i) ** 2) * sum((i) => db(i) ** 2))
}
