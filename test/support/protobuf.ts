/** Writes the protobuf wire format, for models that no exporter would make. */

export type Bytes = Uint8Array<ArrayBuffer>

/** Base-128 varint; negative numbers as 64-bit two's complement. */
export function varint(value: number | bigint): Bytes {
  let rest = BigInt.asUintN(64, BigInt(value))
  const out: number[] = []
  while (rest >= 0x80n) {
    out.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  out.push(Number(rest))
  return Uint8Array.from(out)
}

/** A tag: field number and wire type. */
export function tag(field: number, wireType: number): Bytes {
  return varint(BigInt(field) * 8n + BigInt(wireType))
}

/** A varint field. */
export function int(field: number, value: number | bigint): Bytes {
  return join(tag(field, 0), varint(value))
}

/** A length-delimited field: a message, bytes or text. */
export function block(field: number, ...content: readonly (Uint8Array | string)[]): Bytes {
  const bytes = join(...content)
  return join(tag(field, 2), varint(bytes.length), bytes)
}

/** A fixed32 field. */
export function float(field: number, value: number): Bytes {
  return join(tag(field, 5), floats(value))
}

/** A fixed64 field. */
export function double(field: number, value: number): Bytes {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value, true)
  return join(tag(field, 1), bytes)
}

/** Little-endian float32 values. */
export function floats(...values: readonly number[]): Bytes {
  return new Uint8Array(Float32Array.from(values).buffer)
}

export function join(...parts: readonly (Uint8Array | string)[]): Bytes {
  return Uint8Array.from(Buffer.concat(parts.map((part) => Buffer.from(part))))
}
