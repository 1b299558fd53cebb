/** The Merkle tree of RFC 6962, 2.1 (and RFC 9162, 2.1): hashes, proofs, and their verification. Hashes are 32 bytes. */
import { createHash } from "node:crypto"
import { isEqual } from "../bytes/bytes.ts"

const HASH_BYTES = 32

/** SHA-256(0x00 ‖ data). */
export function leafHash(data: Uint8Array): Uint8Array {
  return createHash("sha256").update(LEAF).update(data).digest()
}

/** SHA-256(0x01 ‖ left ‖ right). */
function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return createHash("sha256").update(NODE).update(left).update(right).digest()
}

/** Root over leaf hashes; of an empty tree SHA-256 of nothing. */
export function treeRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves
  if (only === undefined) return createHash("sha256").digest()
  if (leaves.length === 1) return only
  const split = splitOf(leaves.length)
  return nodeHash(treeRoot(leaves.slice(0, split)), treeRoot(leaves.slice(split)))
}

/** 2.1.1: from the leaf's neighbour up to the root. `index` below the number of leaves. */
export function inclusionProof(leaves: readonly Uint8Array[], index: number): readonly Uint8Array[] {
  if (leaves.length <= 1) return []
  const split = splitOf(leaves.length)
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)]
  return index < split
    ? [...inclusionProof(left, index), treeRoot(right)]
    : [...inclusionProof(right, index - split), treeRoot(left)]
}

/** 2.1.2: that the tree of the first `size` leaves is the beginning of this one. `size` above 0 and at most the number of leaves. */
export function consistencyProof(leaves: readonly Uint8Array[], size: number): readonly Uint8Array[] {
  return subproof(leaves, size, true)
}

function subproof(leaves: readonly Uint8Array[], size: number, isWhole: boolean): readonly Uint8Array[] {
  if (size === leaves.length) return isWhole ? [] : [treeRoot(leaves)]
  const split = splitOf(leaves.length)
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)]
  return size <= split
    ? [...subproof(left, size, isWhole), treeRoot(right)]
    : [...subproof(right, size - split, false), treeRoot(left)]
}

/** Whether the leaf stands at `index` of the tree of `size` leaves with this root (RFC 9162, 2.1.3.2). */
export function isIncluded(
  leaf: Uint8Array,
  index: bigint,
  size: bigint,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (index < 0n || index >= size || leaf.length !== HASH_BYTES || !areHashes(proof)) return false
  let [at, last, hash] = [index, size - 1n, leaf]
  for (const step of proof) {
    if (last === 0n) return false
    if ((at & 1n) === 1n || at === last) {
      hash = nodeHash(step, hash)
      while ((at & 1n) === 0n && at !== 0n) [at, last] = [at >> 1n, last >> 1n]
    } else hash = nodeHash(hash, step)
    ;[at, last] = [at >> 1n, last >> 1n]
  }
  return last === 0n && isEqual(hash, root)
}

/**
 * Whether a tree of `first` leaves is the beginning of one of `second` (RFC 9162, 2.1.4.2). Of an empty tree nothing can be
 * proved: `first` is at least 1.
 */
export function isConsistent(
  first: bigint,
  second: bigint,
  firstRoot: Uint8Array,
  secondRoot: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (first <= 0n || first > second || !areHashes(proof)) return false
  if (first === second) return proof.length === 0 && isEqual(firstRoot, secondRoot)
  const isPower = (first & (first - 1n)) === 0n
  const [start, ...steps] = isPower ? [firstRoot, ...proof] : proof
  if (start === undefined || (isPower && proof.length === 0)) return false
  let [at, last] = [first - 1n, second - 1n]
  while ((at & 1n) === 1n) [at, last] = [at >> 1n, last >> 1n]
  let [old, now] = [start, start]
  for (const step of steps) {
    if (last === 0n) return false
    if ((at & 1n) === 1n || at === last) {
      old = nodeHash(step, old)
      now = nodeHash(step, now)
      while ((at & 1n) === 0n && at !== 0n) [at, last] = [at >> 1n, last >> 1n]
    } else now = nodeHash(now, step)
    ;[at, last] = [at >> 1n, last >> 1n]
  }
  return last === 0n && isEqual(old, firstRoot) && isEqual(now, secondRoot)
}

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

/** The largest power of two below `count`. */
function splitOf(count: number): number {
  let split = 1
  while (split * 2 < count) split *= 2
  return split
}

function areHashes(proof: readonly Uint8Array[]): boolean {
  return proof.every((hash) => hash.length === HASH_BYTES)
}
