/** C2SP CCTV age vectors, all 143, through our reader; every accepted one written again by our writer. */
import { createHash } from "node:crypto"
import { inflateSync } from "node:zlib"
import { armor } from "age-encryption"
import * as vectors from "cctv-age"
import { describe, expect, test } from "vitest"
import { AppError } from "../../main/contract/errors.ts"
import { checkHeaderMac, readHeader, writeHeader, type Header } from "../../main/core/age/header.ts"
import {
  chunksOf,
  decryptBytes,
  openHeader,
  readHeaderOf,
  unwrapFileKey,
  type OpenedHeader,
} from "../../main/core/age/file.ts"
import { PayloadReader } from "../../main/core/age/reader.ts"
import type { Identity } from "../../main/core/age/recipient.ts"
import { parseIdentity } from "../../main/core/age/recipients.ts"
import { scryptIdentity } from "../../main/core/age/scrypt.ts"
import { nodeChunkCipher, PAYLOAD_NONCE_BYTES } from "../../main/core/age/stream.ts"
import { PayloadWriter } from "../../main/core/age/writer.ts"
import { sourceOf } from "../../main/core/bytes/source.ts"
import { toHex, toUtf8 } from "../../main/core/bytes/bytes.ts"

describe("CCTV age vectors", () => {
  const names = Object.keys(vectors)
  test("are all there", () => expect(names).toHaveLength(143))

  test.each(Object.entries(vectors))("%s has the outcome its author expects", async (_name, bytes) => {
    const vector = readVector(bytes)
    const outcome = await read(vector)
    expect(outcome.result).toBe(vector.expect)
    // A failing vector also states what a streaming reader lets out before it fails. Ours lets out nothing.
    if (outcome.success === undefined) return
    expect(sha256(outcome.success.plain)).toBe(vector.payloadHash)
    expect(Buffer.compare(outcome.success.rewritten, outcome.file)).toBe(0)
  })
})

interface Vector {
  readonly expect: string
  readonly payloadHash: string | undefined
  readonly identities: readonly string[]
  readonly passphrases: readonly string[]
  readonly isArmored: boolean
  readonly file: Uint8Array
}

interface Outcome {
  readonly result: string
  readonly file: Uint8Array
  /** The plaintext, and the whole file written again by our writer from it. */
  readonly success?: { readonly plain: Uint8Array; readonly rewritten: Uint8Array }
}

async function read(vector: Vector): Promise<Outcome> {
  let file = vector.file
  if (vector.isArmored) {
    try {
      file = armor.decode(Buffer.from(file).toString("latin1"))
    } catch {
      return { result: "armor failure", file }
    }
  }
  const identities = [
    ...vector.identities.map((text) => parseIdentity(text)),
    ...vector.passphrases.map((text) => scryptIdentity(toUtf8(text))),
  ]
  let header: Header
  let fileKey: Uint8Array
  try {
    header = await readHeaderOf(sourceOf(file))
    fileKey = await unwrapFileKey(header, identities)
  } catch (error) {
    const code = error instanceof AppError ? error.code : "not an AppError"
    return { result: code === "WRONG_KEY" ? "no match" : headerFailure(code), file }
  }
  try {
    checkHeaderMac(header, fileKey)
  } catch {
    return { result: "HMAC failure", file }
  }
  return readPayload(file, header, fileKey, identities)
}

async function readPayload(
  file: Uint8Array,
  header: Header,
  fileKey: Uint8Array,
  identities: readonly Identity[],
): Promise<Outcome> {
  let plain: Uint8Array
  let opened: OpenedHeader
  try {
    plain = await decryptBytes(file, identities)
    opened = await openHeader(sourceOf(file), identities)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    // The vectors count the payload nonce as part of the header.
    const hasNonce = file.length >= header.size + PAYLOAD_NONCE_BYTES
    return { result: hasNonce ? "payload failure" : "header failure", file }
  }
  const reader = await PayloadReader.open(chunksOf(sourceOf(file), opened), opened.key, nodeChunkCipher)
  expect(Buffer.compare(await reader.read(0, reader.size), plain)).toBe(0)
  const writer = new PayloadWriter(opened.key, nodeChunkCipher)
  const rewritten = Buffer.concat([
    writeHeader(header.stanzas, fileKey),
    file.subarray(header.size, opened.chunksOffset),
    writer.push(plain),
    writer.end(),
  ])
  return { result: "success", file, success: { plain, rewritten } }
}

function headerFailure(code: string): string {
  return ["AGE_MALFORMED", "AGE_TRUNCATED", "AGE_WORK_FACTOR"].includes(code) ? "header failure" : code
}

function readVector(bytes: Uint8Array): Vector {
  const text = Buffer.from(bytes).toString("latin1")
  const end = text.indexOf("\n\n")
  const fields = text
    .slice(0, end)
    .split("\n")
    .map((line): [string, string] => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)])
  const all = (name: string) => fields.filter(([key]) => key === name).map(([, value]) => value)
  const body = bytes.subarray(end + 2)
  return {
    expect: all("expect")[0] ?? "",
    payloadHash: all("payload")[0],
    identities: all("identity"),
    passphrases: all("passphrase"),
    isArmored: all("armored")[0] === "yes",
    file: all("compressed")[0] === "zlib" ? inflateSync(body) : body,
  }
}

function sha256(bytes: Uint8Array): string {
  return toHex(createHash("sha256").update(bytes).digest())
}

test("a header that is cut short asks for more instead of failing", () => {
  expect(readHeader(toUtf8("age-encryption.org/v1\n-> X255"))).toBeNull()
})
