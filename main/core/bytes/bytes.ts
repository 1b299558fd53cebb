import { timingSafeEqual } from "node:crypto"

const UTF8 = new TextEncoder()
const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** True when both hold the same bytes. Takes the same time wherever they differ; lengths are not secret. */
export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

/** Overwrites every buffer with zeros. Call it in `finally` for whatever secret you own. */
export function wipe(...buffers: readonly (Uint8Array | undefined | null)[]): void {
  for (const buffer of buffers) buffer?.fill(0)
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let size = 0
  for (const part of parts) size += part.length
  const out = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")
}

export function toUtf8(text: string): Uint8Array<ArrayBuffer> {
  return UTF8.encode(text)
}

/** The text, or `null` when the bytes are not valid UTF-8 (never a replacement character; a byte order mark is text). */
export function readUtf8(bytes: Uint8Array): string | null {
  try {
    return STRICT_UTF8.decode(bytes)
  } catch {
    return null
  }
}

/** Standard base64, padded. */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")
}

/** Strict padded base64, or `null`: one text stands for one byte string, so a lenient spelling is refused. */
export function parseBase64(text: string): Uint8Array<ArrayBuffer> | null {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"))
  return toBase64(bytes) === text ? bytes : null
}

/** Unpadded base64 as age headers use it. */
export function toRawBase64(bytes: Uint8Array): string {
  return toBase64(bytes).replace(/=+$/, "")
}

/** Strict unpadded base64 (canonical: unused bits are zero), or `null`. */
export function parseRawBase64(text: string): Uint8Array<ArrayBuffer> | null {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"))
  return toRawBase64(bytes) === text ? bytes : null
}
