/** Signed notes (C2SP signed-note): a text and lines of signatures under it. */
import { createHash, createPublicKey, verify, type KeyObject } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { isEqual, parseBase64, toBase64, toUtf8 } from "../bytes/bytes.ts"

const MAX_NOTE_BYTES = 1 << 16
/** More than any log and its witnesses need. */
const MAX_SIGNATURES = 100
const KEY_ID_BYTES = 4
const TYPE_ED25519 = 1
/** SubjectPublicKeyInfo of an Ed25519 key, up to the key (RFC 8410). */
const ED25519_PREFIX = Buffer.from("302a300506032b6570032100", "hex")

/** A key whose signatures count. */
export interface NoteVerifier {
  readonly name: string
  readonly keyId: Uint8Array
  isSignedBy(text: Uint8Array, signature: Uint8Array): boolean
}

/** `NAME+HEX+BASE64`, of type Ed25519. Throws LOG_MALFORMED. */
export function parseVerifierKey(text: string): NoteVerifier {
  const [, name = "", hex = "", base64 = ""] =
    /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? []
  const bytes = parseBase64(base64) ?? new Uint8Array(0)
  const keyId = createHash("sha256")
    .update(toUtf8(`${name}\n`))
    .update(bytes)
    .digest()
    .subarray(0, KEY_ID_BYTES)
  if (bytes.length !== 33 || bytes[0] !== TYPE_ED25519 || keyId.toString("hex") !== hex)
    throw malformed("the verifier key is not one of Ed25519")
  const der = Buffer.concat([ED25519_PREFIX, bytes.subarray(1)])
  const key = createPublicKey({ key: der, format: "der", type: "spki" })
  return { name, keyId, isSignedBy: (message, signature) => verify(null, message, key, signature) }
}

/** A P-256 key (PEM): signatures are ECDSA over SHA-256, DER; the id is of the key alone. */
export function ecdsaVerifier(name: string, pem: string): NoteVerifier {
  const key: KeyObject = createPublicKey(pem)
  return {
    name,
    keyId: ecdsaKeyId(pem),
    isSignedBy: (message, signature) => verify("sha256", message, key, signature),
  }
}

function ecdsaKeyId(pem: string): Uint8Array {
  const der = createPublicKey(pem).export({ format: "der", type: "spki" })
  return createHash("sha256").update(der).digest().subarray(0, KEY_ID_BYTES)
}

/** The text with one signature under it. `text` ends with a newline and has no empty line. */
export function toNote(text: string, name: string, pem: string, signature: Uint8Array): Uint8Array {
  return toUtf8(`${text}\n— ${name} ${toBase64(Buffer.concat([ecdsaKeyId(pem), signature]))}\n`)
}

/**
 * The text of a note that a known key signed. Signatures of others are passed over; a wrong one of a known key fails the note.
 * Throws LOG_MALFORMED, LOG_UNSIGNED.
 */
export function openNote(bytes: Uint8Array, verifiers: readonly NoteVerifier[]): string {
  const { text, signatures } = parseNote(bytes)
  const message = toUtf8(text)
  let isSigned = false
  for (const { name, keyId, signature } of signatures) {
    const known = verifiers.find((each) => each.name === name && isEqual(each.keyId, keyId))
    if (known === undefined) continue
    if (!known.isSignedBy(message, signature))
      throw new AppError("LOG_UNSIGNED", `the signature of ${name} under the note is wrong`)
    isSigned = true
  }
  if (!isSigned) throw new AppError("LOG_UNSIGNED", "no known key signed the note")
  return text
}

interface Signature {
  readonly name: string
  readonly keyId: Uint8Array
  readonly signature: Uint8Array
}

function parseNote(bytes: Uint8Array): { readonly text: string; readonly signatures: readonly Signature[] } {
  if (bytes.length > MAX_NOTE_BYTES) throw malformed("the note is too large")
  const note = Buffer.from(bytes).toString("utf8")
  if (!isEqual(toUtf8(note), bytes) || hasControl(note)) throw malformed("the note is not plain text")
  const end = note.lastIndexOf("\n\n")
  if (end < 0 || !note.endsWith("\n")) throw malformed("the note has no signatures")
  const lines = note.slice(end + 2, -1).split("\n")
  if (lines.length > MAX_SIGNATURES) throw malformed("the note has too many signatures")
  return { text: note.slice(0, end + 1), signatures: lines.map(parseSignature) }
}

function parseSignature(line: string): Signature {
  const [, name = "", base64 = ""] = /^— ([^\s+]+) ([A-Za-z0-9+/=]+)$/.exec(line) ?? []
  const bytes = parseBase64(base64)
  if (bytes === null || bytes.length <= KEY_ID_BYTES) throw malformed("a line under the note is no signature")
  return { name, keyId: bytes.subarray(0, KEY_ID_BYTES), signature: bytes.subarray(KEY_ID_BYTES) }
}

function hasControl(text: string): boolean {
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    if (code < 0x20 && code !== 0x0a) return true
  }
  return false
}

function malformed(message: string): AppError {
  return new AppError("LOG_MALFORMED", message)
}
