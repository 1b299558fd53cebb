/** Ways to lie about an age file. Each returns altered bytes, or `null` when it does not apply to the sample. */
import { createCipheriv, hkdfSync } from "node:crypto"
import { armor } from "age-encryption"
import { parseBech32 } from "../../main/core/age/bech32.ts"
import { writeHeader } from "../../main/core/age/header.ts"
import type { Stanza } from "../../main/core/age/stanza.ts"
import { CHUNK_BYTES, nodeChunkCipher, SEALED_CHUNK_BYTES, TAG_BYTES } from "../../main/core/age/stream.ts"
import { concat, parseRawBase64, toRawBase64, toUtf8 } from "../../main/core/bytes/bytes.ts"
import { firstStanza, type AgeSample } from "./age-samples.ts"
import type { Dice } from "./random.ts"

/** `samples` are all of them, for lies made of two files. */
export type AgeLie = (sample: AgeSample, dice: Dice, samples: readonly AgeSample[]) => Uint8Array | null

export const AGE_LIES: Readonly<Record<string, AgeLie>> = {
  "bit flip: version line": (sample, dice) => flipBit(sample.file, 0, 22, dice),
  "bit flip: stanza": (sample, dice) => flipBit(sample.file, 22, sample.header.size - 48, dice),
  "bit flip: header code": (sample, dice) =>
    flipBit(sample.file, sample.header.size - 48, sample.header.size, dice),
  "bit flip: payload nonce": (sample, dice) =>
    flipBit(sample.file, sample.header.size, sample.chunksOffset, dice),
  "bit flip: chunk": (sample, dice) => flipBit(sample.file, sample.chunksOffset, sample.file.length, dice),
  "bit flip: tag": (sample, dice) =>
    flipBit(sample.file, sample.file.length - TAG_BYTES, sample.file.length, dice),
  truncation: ({ file }, dice) => file.subarray(0, dice.below(file.length)),
  "bytes appended": ({ file }, dice) => concat(file, dice.bytes(1 + dice.below(200))),
  "bytes inserted": ({ file }, dice) => {
    const at = dice.below(file.length)
    return concat(file.subarray(0, at), dice.bytes(1 + dice.below(40)), file.subarray(at))
  },
  "bytes removed": ({ file }, dice) => {
    const at = dice.below(file.length)
    return concat(file.subarray(0, at), file.subarray(Math.min(file.length, at + 1 + dice.below(100))))
  },
  "bytes overwritten": ({ file }, dice) => {
    const out = Uint8Array.from(file) // not slice: a Buffer would hand out itself
    out.set(dice.bytes(1 + dice.below(8)), dice.below(file.length - 8))
    return out
  },
  "chunks swapped": (sample, dice) => {
    const chunks = chunksOf(sample)
    if (chunks.length < 2) return null
    const [a, b] = [dice.below(chunks.length), dice.below(chunks.length)]
    const swapped = chunks.map((chunk, index) => (index === a ? chunks[b] : index === b ? chunks[a] : chunk))
    return withChunks(sample, swapped)
  },
  "chunk duplicated": (sample, dice) => {
    const chunks = chunksOf(sample)
    const at = dice.below(chunks.length)
    return withChunks(sample, [...chunks.slice(0, at + 1), ...chunks.slice(at)])
  },
  "chunk removed": (sample, dice) =>
    withChunks(sample, chunksOf(sample).toSpliced(dice.below(chunksOf(sample).length), 1)),
  "chunk of another file": (sample, dice, samples) => {
    const chunks = [...chunksOf(sample)]
    const foreign = chunksOf(dice.pick(samples.filter((other) => other !== sample)))
    chunks[dice.below(chunks.length)] = dice.pick(foreign)
    return withChunks(sample, chunks)
  },
  "header of another file": (sample, dice, samples) => {
    const other = dice.pick(samples.filter((each) => each !== sample && each.type === sample.type))
    const nonce = dice.below(2) === 0 ? other.chunksOffset : other.header.size
    return concat(
      other.file.subarray(0, nonce),
      sample.file.subarray(nonce === other.chunksOffset ? sample.chunksOffset : sample.header.size),
    )
  },
  "stanza duplicated": (sample, dice) => {
    const stanzas = stanzaTexts(sample)
    const twice = dice.pick(stanzas)
    return withHeaderText(sample, [...stanzas, twice])
  },
  "stanzas reordered": (sample) => {
    const stanzas = stanzaTexts(sample)
    return stanzas.length < 2 ? null : withHeaderText(sample, stanzas.toReversed())
  },
  "stanza removed": (sample) => {
    const stanzas = stanzaTexts(sample)
    return withHeaderText(sample, stanzas.slice(0, -1))
  },
  "stanza added": (sample, dice) =>
    withHeaderText(sample, [
      ...stanzaTexts(sample),
      `-> fuzz-${dice.next()} a\n${toRawBase64(dice.bytes(12))}`,
    ]),
  "too many stanzas": (sample, dice) =>
    withHeaderText(sample, [
      ...stanzaTexts(sample),
      ...Array.from({ length: 4200 }, () => `-> a${dice.below(9)}\n`),
    ]),
  "oversized stanza": (sample, dice) => {
    const lines = Array.from({ length: 1 + dice.below(17_000) }, () => "A".repeat(64))
    return withHeaderText(sample, [...stanzaTexts(sample), `-> big\n${lines.join("\n")}\n`])
  },
  "oversized argument": (sample, dice) =>
    withHeaderText(sample, [
      `-> ${sample.type} ${"A".repeat(1 + dice.below(200_000))}\nAAAA`,
      ...stanzaTexts(sample),
    ]),
  "endless header": (sample, dice) =>
    concat(sample.file.subarray(0, 22), new Uint8Array(100 + dice.below(1 << 21)).fill(0x41)),
  "stanza of another type": (sample, dice) => {
    const types = ["X25519", "scrypt", "mlkem768x25519", "p256tag", "mlkem768p256tag", "ssh-rsa", "x25519"]
    const type = dice.pick(types.filter((other) => other !== sample.type))
    return reworded(sample, (stanza) => ({ ...stanza, type }))
  },
  "argument of another length": (sample, dice) =>
    reworded(sample, (stanza) => ({ ...stanza, args: altered(stanza.args, dice) })),
  "body of another length": (sample, dice) =>
    reworded(sample, (stanza) => ({
      ...stanza,
      body: dice.bytes(dice.pick([0, 1, 16, 31, 33, 48, 64, 1000])),
    })),
  "share of low order": (sample, dice) => {
    if (sample.type === "X25519") return lowOrderX25519(sample, dice)
    if (sample.type !== "mlkem768x25519") return null
    return reworded(sample, (stanza) => ({
      ...stanza,
      args: [withTail(stanza.args[0], lowOrderPoint(dice))],
    }))
  },
  "share off the curve": (sample, dice) => {
    if (sample.type !== "p256tag" && sample.type !== "mlkem768p256tag") return null
    return reworded(sample, (stanza) => ({
      ...stanza,
      args: [stanza.args[0] ?? "", withTail(stanza.args[1], notAPoint(dice))],
    }))
  },
  "last chunk not marked as last": (sample) => resealed(sample, () => []),
  "chunk before the last marked as last": (sample) =>
    resealed(sample, (count) => (count < 2 ? null : [count - 2, count - 1])),
  "empty last chunk behind a full one": (sample) => {
    if (sample.plain.length === 0 || sample.plain.length % CHUNK_BYTES !== 0) return null
    return concat(
      sample.file.subarray(0, sample.chunksOffset),
      sealAt(sample, 0, sample.plain, false),
      sealAt(sample, sample.plain.length / CHUNK_BYTES, new Uint8Array(0), true),
    )
  },
  "chunk counter not from zero": (sample) =>
    concat(
      sample.file.subarray(0, sample.chunksOffset),
      sealAt(sample, 1, sample.plain.subarray(0, CHUNK_BYTES), true),
    ),
  "armor instead of bytes": ({ file }, dice) => {
    const text = armor.encode(file.subarray(0, 400))
    const tricks = [
      (value: string) => value,
      (value: string) => `\n\n ${value}`,
      (value: string) => value.replaceAll("\n", "\r\n"),
      (value: string) => value.replace("BEGIN AGE", "BEGIN  AGE"),
      (value: string) => `${value}${value}`,
      (value: string) => value.replace(/\n(.{10})/, "\n$1\n"),
    ]
    return toUtf8(dice.pick(tricks)(text))
  },
  "version of another format": ({ file }, dice) =>
    concat(
      toUtf8(
        dice.pick([
          "age-encryption.org/v2\n",
          "age-encryption.org/v1\r\n",
          "Salted__",
          "AGE-encryption.org/v1\n",
          "\ufeffage-encryption.org/v1\n",
        ]),
      ),
      file.subarray(22),
    ),
  "huge work factor": (sample, dice) => {
    if (sample.type !== "scrypt") return null
    const factor = dice.pick([
      "21",
      "22",
      "30",
      "31",
      "32",
      "63",
      "64",
      "255",
      "99999999999999999999",
      "1e9",
      "018",
      "-1",
      "+4",
      "0",
      "0x8",
      "",
    ])
    return reworded(sample, (stanza) => ({ ...stanza, args: [stanza.args[0] ?? "", factor] }))
  },
}

export function flipBit(file: Uint8Array, from: number, to: number, dice: Dice): Uint8Array | null {
  if (to <= from) return null
  const out = Uint8Array.from(file) // not slice: a Buffer would hand out itself
  const at = from + dice.below(to - from)
  out[at] = (out[at] ?? 0) ^ (1 << dice.below(8))
  return out
}

function chunksOf(sample: AgeSample): readonly Uint8Array[] {
  const bytes = sample.file.subarray(sample.chunksOffset)
  return Array.from({ length: Math.ceil(bytes.length / SEALED_CHUNK_BYTES) }, (_, index) =>
    bytes.subarray(index * SEALED_CHUNK_BYTES, (index + 1) * SEALED_CHUNK_BYTES),
  )
}

function withChunks(sample: AgeSample, chunks: readonly (Uint8Array | undefined)[]): Uint8Array {
  return concat(
    sample.file.subarray(0, sample.chunksOffset),
    ...chunks.map((chunk) => chunk ?? new Uint8Array(0)),
  )
}

/** Every stanza as the lines it stands in. */
function stanzaTexts(sample: AgeSample): readonly string[] {
  const body = sample.lines.slice(1, -1).join("\n")
  return body.split(/\n(?=-> )/)
}

/** The header with these stanzas under the genuine authentication code: what somebody without the file key can write. */
function withHeaderText(sample: AgeSample, stanzas: readonly string[]): Uint8Array {
  const text = [sample.lines[0] ?? "", ...stanzas, sample.lines.at(-1) ?? ""].join("\n")
  return concat(toUtf8(`${text}\n`), sample.file.subarray(sample.header.size))
}

/** The first stanza changed and the header authenticated anew: what somebody who knows the file key can write. */
function reworded(sample: AgeSample, change: (stanza: Stanza) => Stanza): Uint8Array | null {
  const stanza = change(firstStanza(sample))
  // A writer of ours refuses empty arguments; then the lie is told without a fresh code.
  if (![stanza.type, ...stanza.args].every((text) => /^[\x21-\x7e]+$/.test(text))) {
    return withHeaderText(sample, [`-> ${stanza.type} ${stanza.args.join(" ")}\n${toRawBase64(stanza.body)}`])
  }
  return concat(writeHeader([stanza], sample.fileKey), sample.file.subarray(sample.header.size))
}

function altered(args: readonly string[], dice: Dice): readonly string[] {
  const at = dice.below(args.length)
  const bytes = parseRawBase64(args[at] ?? "") ?? new Uint8Array(0)
  const ways: (() => readonly string[])[] = [
    () => args.toSpliced(at, 1),
    () => [...args, "extra"],
    () => args.with(at, toRawBase64(bytes.subarray(0, bytes.length - 1)) || "A"),
    () => args.with(at, toRawBase64(concat(bytes, dice.bytes(1)))),
    () => args.with(at, `${args[at] ?? ""}=`),
    () => args.with(at, "!"),
  ]
  return dice.pick(ways)()
}

function withTail(argument: string | undefined, tail: Uint8Array): string {
  const bytes = parseRawBase64(argument ?? "") ?? new Uint8Array(0)
  return toRawBase64(concat(bytes.subarray(0, Math.max(0, bytes.length - tail.length)), tail))
}

/** Points whose multiple by any clamped scalar is zero (RFC 7748; the twist's included), little-endian. */
const LOW_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]

function lowOrderPoint(dice: Dice): Uint8Array {
  const point = Uint8Array.from(Buffer.from(dice.pick(LOW_ORDER), "hex"))
  // X25519 ignores the top bit, so each point has a second spelling.
  if (dice.below(2) === 0) point[31] = (point[31] ?? 0) | 0x80
  return point
}

/** The file key wrapped under the secret everybody knows: zero. It opens for a reader that does not look. */
function lowOrderX25519(sample: AgeSample, dice: Dice): Uint8Array {
  const share = lowOrderPoint(dice)
  const publicKey = parseBech32(sample.recipientText)?.bytes ?? new Uint8Array(32)
  const wrapKey = new Uint8Array(
    hkdfSync("sha256", new Uint8Array(32), concat(share, publicKey), "age-encryption.org/v1/X25519", 32),
  )
  const cipher = createCipheriv("chacha20-poly1305", wrapKey, new Uint8Array(12), {
    authTagLength: TAG_BYTES,
  })
  const body = concat(cipher.update(sample.fileKey), cipher.final(), cipher.getAuthTag())
  const stanza = { type: "X25519", args: [toRawBase64(share)], body }
  return concat(writeHeader([stanza], sample.fileKey), sample.file.subarray(sample.header.size))
}

/** 65 bytes that look like a P-256 point to somebody who does not compute. */
function notAPoint(dice: Dice): Uint8Array {
  const point = dice.bytes(65)
  point[0] = dice.pick([0, 2, 4, 4, 4, 5, 6, 7])
  switch (dice.below(4)) {
    case 0:
      point.fill(0, 1)
      break
    case 1:
      point.fill(0xff, 1)
      break
    default:
  }
  return point
}

/** The payload sealed again under its own key with end flags where they do not belong. */
function resealed(sample: AgeSample, marked: (count: number) => readonly number[] | null): Uint8Array | null {
  const count = Math.max(1, Math.ceil(sample.plain.length / CHUNK_BYTES))
  const last = marked(count)
  if (last === null) return null
  const chunks = Array.from({ length: count }, (_, index) => {
    const plain = sample.plain.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)
    return sealAt(sample, index, plain, last.includes(index))
  })
  return withChunks(sample, chunks)
}

/** Chunks from number `first` on; an unmarked run may end in a partial chunk here, which the real cipher refuses to write. */
function sealAt(sample: AgeSample, first: number, plain: Uint8Array, isLast: boolean): Uint8Array {
  if (isLast || (plain.length > 0 && plain.length % CHUNK_BYTES === 0)) {
    const out = new Uint8Array(plain.length + Math.max(1, Math.ceil(plain.length / CHUNK_BYTES)) * TAG_BYTES)
    nodeChunkCipher.seal(sample.key, first, isLast, plain, out)
    return out
  }
  const nonce = new Uint8Array(12)
  nonce[10] = first
  const cipher = createCipheriv("chacha20-poly1305", sample.key, nonce, { authTagLength: TAG_BYTES })
  return concat(cipher.update(plain), cipher.final(), cipher.getAuthTag())
}
