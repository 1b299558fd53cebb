import { bech32 } from "@scure/base"

/** Bech32 (BIP 173) without its length limit, as age uses it: the prefix in lower case and the bytes, or `null`. */
export function parseBech32(text: string): { readonly prefix: string; readonly bytes: Uint8Array } | null {
  const decoded = bech32.decodeUnsafe(text, false)
  if (decoded === undefined) return null
  const bytes = bech32.fromWordsUnsafe(decoded.words)
  return bytes instanceof Uint8Array ? { prefix: decoded.prefix, bytes } : null
}

export function toBech32(prefix: string, bytes: Uint8Array): string {
  return bech32.encode(prefix, bech32.toWords(bytes), false)
}
