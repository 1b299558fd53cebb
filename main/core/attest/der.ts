/** Strict reading of DER: enough of X.690 for what node:crypto does not tell about a certificate. */

/** One element. `content` is a view of the bytes read. */
export interface DerElement {
  /** Identifier octet; long-form tags are refused. */
  readonly tag: number
  readonly content: Uint8Array
}

export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  sequence: 0x30,
} as const

/** The elements that fill these bytes exactly, or `null` when the bytes are not DER. */
export function readElements(bytes: Uint8Array): readonly DerElement[] | null {
  const elements: DerElement[] = []
  for (let at = 0; at < bytes.length;) {
    const header = readHeader(bytes, at)
    if (header === null) return null
    const content = bytes.subarray(header.start, header.start + header.length)
    if (content.length !== header.length) return null
    elements.push({ tag: header.tag, content })
    at = header.start + header.length
  }
  return elements
}

interface Header {
  readonly tag: number
  /** Offset of the first content byte. */
  readonly start: number
  readonly length: number
}

function readHeader(bytes: Uint8Array, at: number): Header | null {
  const [tag, first] = bytes.subarray(at, at + 2)
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return null
  if (first < 0x80) return { tag, start: at + 2, length: first }
  // X.690 10.1: definite lengths in the fewest octets. An indefinite one (0x80) has none, and so comes out as too short.
  const octets = bytes.subarray(at + 2, at + 2 + (first & 0x7f))
  if (octets.length !== (first & 0x7f) || octets[0] === 0) return null
  const length = octets.reduce((sum, octet) => sum * 256 + octet, 0)
  return length < 0x80 ? null : { tag, start: at + 2 + octets.length, length }
}
