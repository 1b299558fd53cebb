/** Keys of the mark, all derived from the owner's master key and the content they belong to (docs/FORMAT.md, The mark). */
import { createHash, createHmac, hkdfSync } from "node:crypto"
import { concat, toUtf8 } from "../bytes/bytes.ts"

/** Streams of one tensor. Bits or bytes per weight: owner-sign and code-sign 1 bit, code-bias and code-word 1 byte, lsb-pick 4 bytes; subset 2 bytes per block of 8 weights. */
export type StreamLabel =
  "owner-sign" | "code-sign" | "code-bias" | "code-word" | "subset" | "base-fill" | "lsb-pick"

const PREFIX = "sealwright/wm/v1/"
const KEY_BYTES = 32
const NOTHING = new Uint8Array(0)

/**
 * K_t: HKDF-SHA256 of the master key (32 bytes) with the tensor's content hash H_t (32 bytes) as salt and the digest of its
 * frozen parameters in the info. The caller wipes it.
 */
export function tensorKey(
  masterKey: Uint8Array,
  tensorHash: Uint8Array,
  parametersDigest: Uint8Array,
): Uint8Array {
  const info = concat(toUtf8(`${PREFIX}tensor`), Uint8Array.of(0), parametersDigest)
  return new Uint8Array(hkdfSync("sha256", masterKey, tensorHash, info, KEY_BYTES))
}

/** The key of one stream of a tensor: HKDF-Expand (RFC 5869, 2.3; a single block) of K_t. The caller wipes it. */
export function streamKey(tensorKey: Uint8Array, label: StreamLabel, context = NOTHING): Uint8Array {
  return createHmac("sha256", tensorKey)
    .update(toUtf8(`${PREFIX}${label}`))
    .update(Uint8Array.of(0))
    .update(context)
    .update(Uint8Array.of(1))
    .digest()
}

/** Context of the code-word stream: device number and the try its word was drawn in. */
export function codeWordContext(device: number, attempt: number): Uint8Array<ArrayBuffer> {
  return concat(u32(device), Uint8Array.of(attempt))
}

/** The key of a use that belongs to a whole model (`H0`, 32 bytes) and not to one tensor. The caller wipes it. */
export function modelKey(
  masterKey: Uint8Array,
  modelHash: Uint8Array,
  label: "trigger-label" | "probe",
): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", masterKey, modelHash, toUtf8(`${PREFIX}${label}`), KEY_BYTES))
}

/** H0: SHA-256 over the sorted content hashes (32 bytes each) of the tensors that carry the mark. */
export function modelHash(tensorHashes: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256")
  for (const tensorHash of tensorHashes.toSorted((a, b) => Buffer.compare(a, b))) hash.update(tensorHash)
  return hash.digest()
}

/** What one tensor contributes to the commitment. */
export interface CommittedTensor {
  readonly tensorHash: Uint8Array
  readonly tensorKey: Uint8Array
  /** 16 random bytes, kept in the ledger: opening one leaf tells nothing about the others. */
  readonly nonce: Uint8Array
}

/** The leaf of one tensor: what is opened towards an expert who checks the mark in that tensor alone. */
export function commitmentLeaf({ tensorHash, tensorKey, nonce }: CommittedTensor): Uint8Array {
  return createHash("sha256")
    .update(Uint8Array.of(0))
    .update(prefixed(toUtf8(`${PREFIX}leaf`), tensorHash, tensorKey, nonce))
    .digest()
}

/**
 * The commitment C, published before anything is issued: it fixes keys, parameters and the size of the code without
 * telling them. Leaves in the order of the plan; the tree is that of RFC 6962, 2.1 (inner nodes SHA-256(01 || left || right)).
 */
export function commitment(
  leaves: readonly Uint8Array[],
  modelHash: Uint8Array,
  parametersDigest: Uint8Array,
  maxDevices: number,
  maxTries: number,
): Uint8Array {
  return createHash("sha256")
    .update(
      prefixed(
        toUtf8(`${PREFIX}commit`),
        merkleRoot(leaves),
        modelHash,
        parametersDigest,
        u32(maxDevices),
        Uint8Array.of(maxTries),
      ),
    )
    .digest()
}

/** Root of the leaves, which are hashes already. Throws RangeError when there are none. */
function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves
  if (only === undefined) throw new RangeError("a tree without leaves")
  if (leaves.length === 1) return only
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  return createHash("sha256")
    .update(Uint8Array.of(1))
    .update(merkleRoot(leaves.slice(0, split)))
    .update(merkleRoot(leaves.slice(split)))
    .digest()
}

/** Every field behind its length (u32 big-endian), so that no two lists of fields are the same bytes. */
function prefixed(...fields: readonly Uint8Array[]): Uint8Array {
  return concat(...fields.flatMap((field) => [u32(field.length), field]))
}

function u32(value: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, value)
  return out
}
