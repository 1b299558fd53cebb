/** Whole age files: opening a header, and small files in memory (grants, key files). Models go through the payload workers. */
import { AppError } from "../../contract/errors.ts"
import { concat, wipe } from "../bytes/bytes.ts"
import { sliceSource, sourceOf, type ByteSource } from "../bytes/source.ts"
import {
  checkHeaderMac,
  FILE_KEY_BYTES,
  MAX_HEADER_BYTES,
  payloadKey,
  readHeader,
  writeHeader,
  type Header,
} from "./header.ts"
import type { Identity, Random, Recipient } from "./recipient.ts"
import { checkRecipientsUnmixed } from "./recipients.ts"
import {
  nodeChunkCipher,
  openChunks,
  PAYLOAD_NONCE_BYTES,
  plainSize,
  sealedSize,
  type ChunkCipher,
} from "./stream.ts"

/** What is needed to read the chunks of one file. `key` is a secret: the owner wipes it. */
export interface OpenedHeader {
  /** Payload key, 32 bytes. */
  readonly key: Uint8Array
  /** Offset of the first chunk in the file, bytes. */
  readonly chunksOffset: number
  /** Length of all chunks with their tags, bytes. */
  readonly chunksBytes: number
  /** Length of the plaintext, bytes. A claim until the last chunk is verified. */
  readonly plainBytes: number
}

/** What starts a new file: the header and payload nonce as they are written, and the key for its chunks. */
export interface StartedFile {
  readonly prefix: Uint8Array
  /** Payload key, 32 bytes; the owner wipes it. */
  readonly key: Uint8Array
}

/**
 * Opens the header with whichever identity fits and authenticates it. Throws WRONG_KEY when none fits, and AGE_MALFORMED,
 * AGE_TRUNCATED or AGE_HEADER_FORGED for a file that is broken. No payload is read but its nonce.
 */
export async function openHeader(file: ByteSource, identities: readonly Identity[]): Promise<OpenedHeader> {
  const header = await readHeaderOf(file)
  const fileKey = await unwrapFileKey(header, identities)
  try {
    checkHeaderMac(header, fileKey)
    const chunksOffset = header.size + PAYLOAD_NONCE_BYTES
    if (file.size < chunksOffset) throw new AppError("AGE_TRUNCATED", "the file ends before its payload")
    const chunksBytes = file.size - chunksOffset
    const plainBytes = plainSize(chunksBytes)
    const nonce = await file.read(header.size, PAYLOAD_NONCE_BYTES)
    return { key: payloadKey(fileKey, nonce), chunksOffset, chunksBytes, plainBytes }
  } finally {
    wipe(fileKey)
  }
}

/** Reads and checks the form of the header of `file`, growing what it reads up to the limit. */
export async function readHeaderOf(file: ByteSource): Promise<Header> {
  for (let size = 4096; ; size *= 8) {
    const wanted = Math.min(size, file.size, MAX_HEADER_BYTES)
    const header = readHeader(await file.read(0, wanted))
    if (header !== null) return header
    if (wanted === file.size) throw new AppError("AGE_TRUNCATED", "the file ends inside its header")
    if (wanted === MAX_HEADER_BYTES)
      throw new AppError("AGE_MALFORMED", `the header is longer than ${MAX_HEADER_BYTES} bytes`)
  }
}

/** The file key for a header, or WRONG_KEY. The MAC is not checked here. The caller wipes the key. */
export async function unwrapFileKey(header: Header, identities: readonly Identity[]): Promise<Uint8Array> {
  for (const identity of identities) {
    const fileKey = await identity.unwrap(header.stanzas)
    if (fileKey?.length === FILE_KEY_BYTES) return fileKey
    wipe(fileKey)
  }
  throw new AppError("WRONG_KEY", "no stanza of the file is for this key")
}

/** A fresh file key wrapped for every recipient. Throws RECIPIENTS_MIXED unless `allowMixed` insists. */
export function startFile(recipients: readonly Recipient[], random: Random, allowMixed = false): StartedFile {
  if (!allowMixed) checkRecipientsUnmixed(recipients)
  const fileKey = random(FILE_KEY_BYTES)
  try {
    const header = writeHeader(
      recipients.map((recipient) => recipient.wrap(fileKey, random)),
      fileKey,
    )
    const nonce = random(PAYLOAD_NONCE_BYTES)
    return { prefix: concat(header, nonce), key: payloadKey(fileKey, nonce) }
  } finally {
    wipe(fileKey)
  }
}

/** A whole age file over `plain`. */
export function encryptBytes(
  plain: Uint8Array,
  recipients: readonly Recipient[],
  random: Random,
  cipher: ChunkCipher = nodeChunkCipher,
): Uint8Array<ArrayBuffer> {
  const { prefix, key } = startFile(recipients, random)
  try {
    const file = new Uint8Array(prefix.length + sealedSize(plain.length))
    file.set(prefix)
    cipher.seal(key, 0, true, plain, file.subarray(prefix.length))
    return file
  } finally {
    wipe(key)
  }
}

/** The plaintext of a whole age file in memory; nothing is returned before the last chunk verified. */
export async function decryptBytes(
  file: Uint8Array,
  identities: readonly Identity[],
  cipher: ChunkCipher = nodeChunkCipher,
): Promise<Uint8Array<ArrayBuffer>> {
  const { key, chunksOffset, plainBytes } = await openHeader(sourceOf(file), identities)
  const plain = new Uint8Array(plainBytes)
  try {
    openChunks(cipher, key, 0, true, file.subarray(chunksOffset), plain)
    return plain
  } catch (error) {
    wipe(plain)
    throw error
  } finally {
    wipe(key)
  }
}

/** The chunks of a file as a source of their own. */
export function chunksOf(file: ByteSource, header: OpenedHeader): ByteSource {
  return sliceSource(file, header.chunksOffset, header.chunksBytes)
}
