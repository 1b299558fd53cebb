import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { array, assert, constantFrom, double, integer, property, record } from "fast-check"
import { describe, expect, test } from "vitest"
import { concat, toHex } from "../../../main/core/bytes/bytes.ts"
import { readOverlay, type OverlayBinding } from "../../../main/core/watermark/overlay.ts"
import {
  applyOverlay,
  checkBinding,
  OverlayApplier,
  overlayDevice,
  type FilePlace,
} from "../../../main/core/watermark/overlay-apply.ts"
import { RunCursor } from "../../../main/core/watermark/overlay-runs.ts"
import { OverlayWriter } from "../../../main/core/watermark/overlay-writer.ts"
import { vector } from "../../support/vectors.ts"

interface Vectors {
  readonly files: readonly string[]
  readonly base: string
  readonly model: string
  readonly deviceSalt: string
  readonly recipient: string
  readonly good: Readonly<Record<string, { readonly overlay: string; readonly assembled: readonly string[] }>>
  readonly bad: Readonly<Record<string, { readonly overlay: string; readonly code: "OVERLAY_MALFORMED" }>>
}

const vectors = JSON.parse(readFileSync(vector("overlay", "vectors.json"), "utf8")) as Vectors // see its SOURCE.txt
const files = vectors.files.map(hex)
const binding: OverlayBinding = {
  base: hex(vectors.base),
  model: hex(vectors.model),
  deviceSalt: hex(vectors.deviceSalt),
  device: overlayDevice(hex(vectors.deviceSalt), vectors.recipient),
}

describe("overlay vectors", () => {
  test.each(Object.entries(vectors.good))(
    "%s assembles to the files its author computed",
    (_name, { overlay, assembled }) => {
      const { plain, places } = inArchive(files)
      applyOverlay(readOverlay(hex(overlay)), plain, places)
      const { plain: expected } = inArchive(assembled.map(hex))
      expect(toHex(plain)).toBe(toHex(expected))
    },
  )

  test.each(Object.entries(vectors.good))("%s is written again to the same bytes", (_name, { overlay }) => {
    const { segments, runs } = readOverlay(hex(overlay))
    const writer = new OverlayWriter(segments)
    const cursor = new RunCursor(segments, runs)
    while (cursor.next()) {
      const { elementBytes = 1, keptBytes = 0 } = segments[cursor.segment] ?? {}
      const written = elementBytes - keptBytes
      // What is kept of an element does not matter, so any byte will do.
      const values = Uint8Array.from({ length: cursor.length }, (_, i) => {
        const byte = (i % elementBytes) - keptBytes
        return byte < 0 ? 0xa5 : (runs[cursor.valuesAt + Math.floor(i / elementBytes) * written + byte] ?? 0)
      })
      // In two pieces, as when a tensor's element lies across two batches.
      writer.add(cursor.segment, cursor.start, values.subarray(0, 1))
      writer.add(cursor.segment, cursor.start + 1, values.subarray(1))
    }
    expect(toHex(writer.finish(binding) ?? new Uint8Array(0))).toBe(overlay)
  })

  test.each(Object.entries(vectors.bad))(
    "%s is refused before a byte is changed",
    async (_name, { overlay, code }) => {
      const { plain, places } = inArchive(files)
      const before = toHex(plain)
      await expect(() => applyOverlay(readOverlay(hex(overlay)), plain, places)).toFailWithCode(code)
      expect(toHex(plain)).toBe(before)
    },
  )

  test("every truncation of a valid overlay is refused", async () => {
    for (const { overlay } of Object.values(vectors.good)) {
      const bytes = hex(overlay)
      for (let length = 0; length < bytes.length; length += 1)
        await expect(() => readOverlay(bytes.subarray(0, length))).toFailWithCode("OVERLAY_MALFORMED")
    }
  })
})

describe("the binding of an overlay", () => {
  const overlay = readOverlay(hex(vectors.good["one_run"]?.overlay ?? ""))
  const expected = { base: binding.base, model: binding.model, recipient: vectors.recipient }

  test("fits its payload, model and device", () => {
    expect(() => checkBinding(overlay, expected)).not.toThrow()
  })

  test.each([
    ["payload", { base: createHash("sha256").digest() }],
    ["model", { model: createHash("sha256").digest() }],
    ["device", { recipient: "age1other" }],
  ])("is refused for another %s", async (_what, change) => {
    await expect(() => checkBinding(overlay, { ...expected, ...change })).toFailWithCode("OVERLAY_MISMATCH")
  })
})

describe("applying an overlay", () => {
  /** Files, and for each a set of changes inside disjoint segments of one element size. */
  const changes = record({
    sizes: array(integer({ min: 16, max: 4000 }), { minLength: 1, maxLength: 3 }),
    elementBytes: constantFrom(1, 2, 4, 8),
    kept: constantFrom(0, 0.5, 0.75),
    density: double({ min: 0.01, max: 0.9, noNaN: true }),
    seed: integer({ min: 0, max: 2 ** 31 }),
    cut: integer({ min: 1, max: 700 }),
  })

  test("in stretches of any size equals writing the values in place", () => {
    assert(
      property(changes, ({ sizes, elementBytes, kept, density, seed, cut }) => {
        const keptBytes = Math.floor(kept * elementBytes)
        const bytes = noise(seed)
        const originals = sizes.map((size) => bytes(size))
        const segments = sizes.map((size, file) => {
          const offset = file % 3
          return {
            file,
            offset,
            elementBytes,
            keptBytes,
            elements: Math.floor((size - offset) / elementBytes),
          }
        })
        const writer = new OverlayWriter(segments)
        const direct = originals.map((file) => file.slice())
        segments.forEach(({ file, offset, elements }, index) => {
          for (let element = 0; element < elements; element += 1) {
            if ((bytes(1)[0] ?? 0) / 256 >= density) continue
            const value = bytes(elementBytes)
            direct[file]?.set(value.subarray(keptBytes), offset + element * elementBytes + keptBytes)
            writer.add(index, element * elementBytes, value)
          }
        })
        const overlay = writer.finish(binding)
        if (overlay === null) return
        const { plain, places } = inArchive(originals)
        const applier = new OverlayApplier(readOverlay(overlay), places)
        for (let at = 0; at < plain.length; at += cut) applier.apply(at, plain.subarray(at, at + cut))
        applier.finish()
        expect(Buffer.compare(plain, inArchive(direct).plain)).toBe(0)
      }),
      { numRuns: 200, seed: 1 },
    )
  })

  test("says so when the plaintext ends before the runs do", async () => {
    const { plain, places } = inArchive(files)
    const applier = new OverlayApplier(readOverlay(hex(vectors.good["whole_segment"]?.overlay ?? "")), places)
    applier.apply(0, plain.subarray(0, plain.length - 600))
    await expect(() => applier.finish()).toFailWithCode("OVERLAY_MALFORMED")
  })

  test("refuses plaintext out of order", () => {
    const { plain, places } = inArchive(files)
    const applier = new OverlayApplier(readOverlay(hex(vectors.good["one_run"]?.overlay ?? "")), places)
    expect(() => applier.apply(64, plain.subarray(64))).toThrow(RangeError)
  })
})

describe("writing an overlay", () => {
  const segment = { file: 0, offset: 0, elementBytes: 4, keptBytes: 0, elements: 10 }

  test("gives nothing when nothing was added", () => {
    expect(new OverlayWriter([segment]).finish(binding)).toBeNull()
  })

  test("refuses values out of order, outside their segment, or in half elements", () => {
    const writer = new OverlayWriter([segment])
    writer.add(0, 8, new Uint8Array(4))
    expect(() => writer.add(0, 4, new Uint8Array(4))).toThrow(RangeError)
    expect(() => new OverlayWriter([segment]).add(0, 38, new Uint8Array(4))).toThrow(RangeError)
    expect(() => new OverlayWriter([segment]).add(0, 40, new Uint8Array(4))).toThrow(RangeError)
    const half = new OverlayWriter([segment])
    half.add(0, 0, new Uint8Array(3))
    expect(() => half.finish(binding)).toThrow(RangeError)
  })

  test("refuses segments that overlap", async () => {
    await expect(() => new OverlayWriter([segment, { ...segment, offset: 39 }])).toFailWithCode(
      "OVERLAY_MALFORMED",
    )
  })
})

/** Files as a payload holds them: something in front of each, and behind. */
function inArchive(contents: readonly Uint8Array[]): {
  readonly plain: Uint8Array
  readonly places: readonly FilePlace[]
} {
  const header = new Uint8Array(512).fill(0x2e)
  let at = 0
  const places = contents.map((content) => {
    const place = { offset: at + header.length, size: content.length }
    at += header.length + content.length
    return place
  })
  return { plain: concat(...contents.flatMap((content) => [header, content]), header), places }
}

/** Reproducible bytes that are cheap to have one at a time. */
function noise(seed: number): (size: number) => Uint8Array {
  let state = seed | 1
  return (size) =>
    Uint8Array.from({ length: size }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
      return state >>> 24
    })
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"))
}
