/** Transparency logs: proofs of transparency-dev/merkle, and a log of Tessera with its checkpoints and tiles. */
import { readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { checkpointText, openCheckpoint } from "../../main/core/log/checkpoint.ts"
import {
  consistencyProof,
  inclusionProof,
  isConsistent,
  isIncluded,
  leafHash,
  treeRoot,
} from "../../main/core/log/merkle.ts"
import { openNote, parseVerifierKey } from "../../main/core/log/note.ts"
import { entryBundle, readEntryBundle, tileName } from "../../main/core/log/tiles.ts"
import { vector } from "../support/vectors.ts"

interface Case {
  readonly [field: string]: unknown
  readonly wantErr?: boolean
}

/** Sizes go beyond what a JSON number holds. */
function casesOf(kind: string): readonly (readonly [name: string, fields: Case])[] {
  const folder = vector("rfc6962", kind)
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => {
      const text = readFileSync(path.join(folder, name), "utf8")
      const fields: unknown = JSON.parse(
        text.replaceAll(/("(?:leafIdx|treeSize|size[12])":\s*)(\d+)/g, '$1"$2"'),
      )
      return [name, fields as Case] // the set's own form, see SOURCE.txt
    })
}

const hash = (value: unknown) => new Uint8Array(Buffer.from(typeof value === "string" ? value : "", "base64"))
const hashes = (value: unknown) => (Array.isArray(value) ? value.map(hash) : [])
const size = (value: unknown) => BigInt(typeof value === "string" ? value : 0)

describe("proofs", () => {
  const inclusion = casesOf("inclusion")
  const consistency = casesOf("consistency")

  test("of inclusion: all 98 are judged as they should be", () => {
    const wrong = inclusion.filter(([, each]) => {
      const { leafIdx, treeSize, leafHash: leaf, proof, root } = each
      const isGood = isIncluded(hash(leaf), size(leafIdx), size(treeSize), hashes(proof), hash(root))
      return isGood === (each.wantErr === true)
    })
    expect(wrong.map(([name]) => name)).toEqual([])
    expect(inclusion).toHaveLength(98)
  })

  test("of consistency: all 98 are judged as they should be", () => {
    const wrong = consistency.filter(([, each]) => {
      const { size1, size2, root1, root2, proof } = each
      const isGood = isConsistent(size(size1), size(size2), hash(root1), hash(root2), hashes(proof))
      return isGood === (each.wantErr === true)
    })
    expect(wrong.map(([name]) => name)).toEqual([])
    expect(consistency).toHaveLength(98)
  })
})

describe("a log of somebody else", () => {
  const VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
  const read = (...parts: readonly string[]) => new Uint8Array(readFileSync(vector("tlog-tiles", ...parts)))
  const signer = parseVerifierKey(VKEY)
  const entries = readEntryBundle(read("tile", "entries", "000.p", "15"), 15)
  const leaves = entries.map(leafHash)

  test("has 16 checkpoints whose roots are those of its entries", () => {
    for (let count = 0; count <= 15; count += 1) {
      const checkpoint = openCheckpoint(read(`checkpoint.${count}`), [signer])
      expect(checkpoint).toMatchObject({ origin: "example.com/log/testdata", size: BigInt(count) })
      expect(Buffer.from(treeRoot(leaves.slice(0, count)))).toEqual(Buffer.from(checkpoint.root))
      expect(openNote(read(`checkpoint.${count}`), [signer])).toBe(checkpointText(checkpoint))
    }
  })

  test("has tiles that are ours byte for byte", () => {
    for (let count = 1; count <= 15; count += 1) {
      const name = tileName(0, count).split("/")
      expect(Buffer.from(entryBundle(entries.slice(0, count)))).toEqual(
        Buffer.from(read("tile", "entries", ...name)),
      )
      expect(Buffer.concat(leaves.slice(0, count))).toEqual(Buffer.from(read("tile", "0", ...name)))
    }
    expect(tileName(1234067, 256)).toBe("x001/x234/067")
  })

  test("is proved to hold each entry, and to be the continuation of each of its checkpoints", () => {
    const root = treeRoot(leaves)
    for (const [index, leaf] of leaves.entries()) {
      const proof = inclusionProof(leaves, index)
      expect(isIncluded(leaf, BigInt(index), 15n, proof, root)).toBe(true)
      expect(isIncluded(leaf, BigInt((index + 1) % 15), 15n, proof, root)).toBe(false)
      const first = treeRoot(leaves.slice(0, index + 1))
      const steps = consistencyProof(leaves, index + 1)
      expect(isConsistent(BigInt(index + 1), 15n, first, root, steps)).toBe(true)
    }
  })

  test("is refused under another key and with another text", async () => {
    const note = read("checkpoint.5")
    const changed = new Uint8Array(Buffer.from(Buffer.from(note).toString("utf8").replace("\n5\n", "\n6\n")))
    await expect(() => openCheckpoint(changed, [signer])).toFailWithCode("LOG_UNSIGNED")
    await expect(() => openCheckpoint(note, [])).toFailWithCode("LOG_UNSIGNED")
    await expect(() => openCheckpoint(note.subarray(0, 60), [signer])).toFailWithCode("LOG_MALFORMED")
  })
})
