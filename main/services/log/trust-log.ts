/**
 * The log of trust acts (docs/FORMAT.md 10.8): a folder of tiles under a signed checkpoint. Entries are only added; the tree is
 * recomputed from them whenever the log is read, so an entry that was changed or taken out is found.
 */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import type { LogEntry, TrustLog } from "../../contract/schema/log.ts"
import { isEqual, toHex, toUtf8 } from "../../core/bytes/bytes.ts"
import { checkpointText, openCheckpoint, toProofFile, type Checkpoint } from "../../core/log/checkpoint.ts"
import { inclusionProof, leafHash, treeRoot } from "../../core/log/merkle.ts"
import { ecdsaVerifier, toNote, type NoteVerifier } from "../../core/log/note.ts"
import { checkPublished, publishedNames, type Published } from "../../core/log/published.ts"
import { entryBundle, readEntryBundle, tileName, TILE_WIDTH } from "../../core/log/tiles.ts"
import { sha256Digest } from "../../core/oci/manifest.ts"
import { readJson } from "../../core/policy/release.ts"
import type { Ports } from "../ports.ts"
import { ownKeys } from "../trust/own-keys.ts"
import { currentPlan, imageRepository } from "../trust/publish.ts"

const FOLDER = "log"
const CHECKPOINT = `${FOLDER}/checkpoint`

/** Names no device: what is about one says how many. */
export interface Act {
  readonly act: "trust" | "publish" | "direct" | "revoke" | "receipts"
  readonly what: string
  readonly digests: readonly string[]
}

const entrySchema = z.strictObject({
  version: z.literal(1),
  time: z.iso.datetime(),
  act: z.string().max(40),
  what: z.string().max(400),
  digests: z.array(z.string()).max(64),
})

/**
 * Adds an act and signs the new checkpoint. In a workspace without a key of the roles online or director nothing is logged:
 * such a workspace signs no act either. The caller holds the workspace's lock.
 */
export async function logAct(ports: Ports, { act, what, digests }: Act): Promise<void> {
  const signer = await findSigner(ports)
  if (signer === null) return
  const log = await readLog(ports)
  const entry = {
    version: 1,
    time: ports.now().toISOString(),
    act,
    what: what.slice(0, 400),
    digests: digests.slice(0, 64),
  }
  const entries = [...log.entries, toUtf8(JSON.stringify(entry))]
  const leaves = [...log.leaves, leafHash(entries.at(-1) ?? new Uint8Array(0))]
  const origin = log.checkpoint?.origin ?? (await newOrigin(ports))
  await writeTiles(ports, entries, leaves)
  const text = checkpointText({ origin, size: BigInt(leaves.length), root: treeRoot(leaves) })
  const signature = await ports.keys.sign(signer.key, toUtf8(text))
  // Last: until it is there the log is the one before.
  await ports.documents.write(CHECKPOINT, toNote(text, origin, signer.pem, signature))
}

/** Throws LOG_INCONSISTENT when the entries are not those of the checkpoint, LOG_UNSIGNED when no key of ours signed that. */
export async function showLog(ports: Ports): Promise<TrustLog> {
  const { checkpoint, entries, leaves } = await readLog(ports)
  return {
    origin: checkpoint?.origin ?? null,
    size: leaves.length,
    root: toHex(treeRoot(leaves)),
    entries: entries.map(toEntry),
  }
}

/** A proof that an entry is in the log, and the entry. Throws USAGE for an index past the end. */
export async function proveEntry(
  ports: Ports,
  index: number,
): Promise<{ readonly entry: LogEntry; readonly size: number; readonly proof: Uint8Array }> {
  const { entries, leaves, note } = await readLog(ports)
  const bytes = entries[index]
  if (bytes === undefined || note === null)
    throw new AppError("USAGE", `the log has ${leaves.length} entries, counted from 0`)
  const proof = toProofFile(BigInt(index), inclusionProof(leaves, index), note)
  return { entry: toEntry(bytes, index), size: leaves.length, proof }
}

/**
 * The newest entry that says a release was published, and its proof: the one that is kept, or a new one where the keys that
 * signed that are no longer those of the trust root. `null` where the log has no such entry.
 */
export async function publishedProof(ports: Ports, sha256: string): Promise<Published | null> {
  const names = publishedNames(sha256)
  const [entry, proof] = [
    await ports.documents.read(`${KEPT}/${names.entry}`),
    await ports.documents.read(`${KEPT}/${names.proof}`),
  ]
  const { roles } = await currentPlan(ports)
  const pems = [...roles.online.keys, ...roles.director.keys].map(({ pem }) => pem)
  if (entry !== null && proof !== null && isProven({ entry, proof }, sha256, pems)) return { entry, proof }
  return provePublished(ports, sha256)
}

/** Makes the proof of the newest entry and keeps it: from then on exports hold the same one. */
export async function provePublished(ports: Ports, sha256: string): Promise<Published | null> {
  const { entries, leaves, note } = await readLog(ports)
  const index = entries.findLastIndex((bytes, at) => {
    const { act, digests } = toEntry(bytes, at)
    return act === "publish" && digests.includes(`sha256:${sha256}`)
  })
  const entry = entries[index]
  if (entry === undefined || note === null) return null
  const proof = toProofFile(BigInt(index), inclusionProof(leaves, index), note)
  const names = publishedNames(sha256)
  await ports.documents.write(`${KEPT}/${names.entry}`, entry)
  await ports.documents.write(`${KEPT}/${names.proof}`, proof)
  return { entry, proof }
}

const KEPT = "tuf"

function isProven(published: Published, sha256: string, pems: readonly string[]): boolean {
  try {
    checkPublished(published, sha256, pems)
    return true
  } catch (error) {
    if (error instanceof AppError) return false
    throw error
  }
}

interface OpenLog {
  readonly checkpoint: Checkpoint | null
  readonly note: Uint8Array | null
  readonly entries: readonly Uint8Array[]
  readonly leaves: readonly Uint8Array[]
}

async function readLog(ports: Ports): Promise<OpenLog> {
  const note = await ports.documents.read(CHECKPOINT)
  if (note === null) return { checkpoint: null, note, entries: [], leaves: [] }
  const checkpoint = openCheckpoint(note, await verifiers(ports, originOf(note)))
  const size = Number(checkpoint.size)
  const entries: Uint8Array[] = []
  for (let number = 0; number * TILE_WIDTH < size; number += 1) {
    const width = Math.min(TILE_WIDTH, size - number * TILE_WIDTH)
    const bundle = await ports.documents.read(`${FOLDER}/tile/entries/${tileName(number, width)}`)
    if (bundle === null) throw inconsistent("entries are missing")
    entries.push(...readEntryBundle(bundle, width))
  }
  const leaves = entries.map(leafHash)
  if (!isEqual(treeRoot(leaves), checkpoint.root)) throw inconsistent("an entry was changed")
  return { checkpoint, note, entries, leaves }
}

/** Tiles the last entry changed, on every level that has one. */
async function writeTiles(
  ports: Ports,
  entries: readonly Uint8Array[],
  leaves: readonly Uint8Array[],
): Promise<void> {
  const last = Math.floor((leaves.length - 1) / TILE_WIDTH)
  const tail = entries.slice(last * TILE_WIDTH)
  await ports.documents.write(`${FOLDER}/tile/entries/${tileName(last, tail.length)}`, entryBundle(tail))
  let hashes = leaves
  for (let level = 0; hashes.length > 0; level += 1) {
    const number = Math.floor((hashes.length - 1) / TILE_WIDTH)
    const tile = hashes.slice(number * TILE_WIDTH)
    const name = `${FOLDER}/tile/${level}/${tileName(number, tile.length)}`
    await ports.documents.write(name, Buffer.concat([...tile]))
    const full = Math.floor(hashes.length / TILE_WIDTH)
    const below = hashes
    hashes = Array.from({ length: full }, (_, place) =>
      treeRoot(below.slice(place * TILE_WIDTH, (place + 1) * TILE_WIDTH)),
    )
  }
}

/** A key of ours that the trust root lets sign without a person. */
async function findSigner(ports: Ports) {
  const { roles } = await currentPlan(ports)
  const own = await ownKeys(ports)
  for (const { keyId, pem } of [...roles.online.keys, ...roles.director.keys]) {
    const key = own.get(keyId)
    if (key !== undefined) return { key, pem }
  }
  return null
}

/** Keys of the roles, and our own ones: a key that was replaced has signed the last checkpoint. */
async function verifiers(ports: Ports, origin: string): Promise<readonly NoteVerifier[]> {
  const { roles } = await currentPlan(ports)
  const pems = [...roles.online.keys, ...roles.director.keys].map(({ pem }) => pem)
  for (const { publicKeyPem } of (await ownKeys(ports)).values())
    if (publicKeyPem !== null) pems.push(publicKeyPem)
  return [...new Set(pems)].map((pem) => ecdsaVerifier(origin, pem))
}

/** Logs of two trust roots have different names. */
async function newOrigin(ports: Ports): Promise<string> {
  const first = await imageRepository(ports).read("1.root.json")
  return `sealwright/${sha256Digest(first ?? new Uint8Array(0)).slice("sha256:".length)}`
}

/** What the note says it is of; the signature under it is by a key of that name. */
function originOf(note: Uint8Array): string {
  return Buffer.from(note).toString("utf8").split("\n")[0] ?? ""
}

function toEntry(bytes: Uint8Array, index: number): LogEntry {
  const { time, act, what, digests } = readJson(entrySchema, bytes, `entry ${index} of the log`)
  return { index, time, act, what, digests }
}

function inconsistent(message: string): AppError {
  return new AppError("LOG_INCONSISTENT", `the log does not match its checkpoint: ${message}`)
}
