/** Checkpoints of a log (C2SP tlog-checkpoint) and proofs that travel alone (tlog-proof). */
import { AppError } from "../../contract/errors.ts"
import { parseBase64, toBase64, toUtf8 } from "../bytes/bytes.ts"
import { isIncluded } from "./merkle.ts"
import { openNote, type NoteVerifier } from "./note.ts"

export interface Checkpoint {
  readonly origin: string
  readonly size: bigint
  readonly root: Uint8Array
}

const SIZE = /^(0|[1-9]\d{0,18})$/
const PROOF_HEAD = "c2sp.org/tlog-proof@v1"
/** As high as a tree can be. */
const MAX_PROOF = 63

export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${toBase64(root)}\n`
}

/** A checkpoint that a known key signed. Throws LOG_MALFORMED, LOG_UNSIGNED. */
export function openCheckpoint(note: Uint8Array, verifiers: readonly NoteVerifier[]): Checkpoint {
  const [origin = "", size = "", base64 = "", end, ...more] = openNote(note, verifiers).split("\n")
  const root = parseBase64(base64)
  if (origin === "" || !SIZE.test(size) || root?.length !== 32 || end !== "" || more.length > 0)
    throw new AppError("LOG_MALFORMED", "the note is not a checkpoint")
  return { origin, size: BigInt(size), root }
}

/** An entry's way into a checkpoint, as one file. */
export function toProofFile(index: bigint, proof: readonly Uint8Array[], checkpoint: Uint8Array): Uint8Array {
  const lines = [PROOF_HEAD, `index ${index}`, ...proof.map((hash) => toBase64(hash)), "", ""]
  return Buffer.concat([toUtf8(lines.join("\n")), checkpoint])
}

/**
 * What a proof file shows about a leaf: its place in the log of a checkpoint a known key signed. Throws LOG_MALFORMED,
 * LOG_UNSIGNED, and LOG_INCONSISTENT when the leaf is not there.
 */
export function checkProofFile(
  file: Uint8Array,
  leaf: Uint8Array,
  verifiers: readonly NoteVerifier[],
): { readonly index: bigint; readonly checkpoint: Checkpoint } {
  const text = Buffer.from(file).toString("utf8")
  const gap = text.indexOf("\n\n")
  const [head, ...lines] = text.slice(0, Math.max(0, gap)).split("\n")
  // What `extra` says is signed by nobody.
  if (lines[0]?.startsWith("extra ") === true) lines.shift()
  const index = /^index (0|[1-9]\d{0,18})$/.exec(lines.shift() ?? "")?.[1]
  const proof = lines.map((line) => parseBase64(line))
  if (gap < 0 || head !== PROOF_HEAD || index === undefined || proof.length > MAX_PROOF)
    throw new AppError("LOG_MALFORMED", "the file is not a proof of inclusion")
  const hashes = proof.filter((hash) => hash !== null)
  const checkpoint = openCheckpoint(toUtf8(text.slice(gap + 2)), verifiers)
  const isThere =
    hashes.length === proof.length &&
    isIncluded(leaf, BigInt(index), checkpoint.size, hashes, checkpoint.root)
  if (!isThere) throw new AppError("LOG_INCONSISTENT", "the log does not hold what the proof is about")
  return { index: BigInt(index), checkpoint }
}
