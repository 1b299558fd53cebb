/** What the keys say about each weight of one tensor: signs, biases, code words, S and the steps of quantised weights. */
import { wipe } from "../bytes/bytes.ts"
import { codeWordContext, streamKey, type StreamLabel } from "./keys.ts"
import { strengthOf, SUBSET_BLOCK, type MarkParameters } from "./plan.ts"
import { KeyStream } from "./prf.ts"
import { codeWordBits } from "./tardos.ts"

/** A device's place in the code. `attempt` counts from 0; a word that spoiled a device's copy is drawn again. */
export interface CodeWord {
  readonly device: number
  readonly attempt: number
}

/** Weights of a tensor, by their index in stored order. */
export interface WeightRange {
  readonly first: number
  readonly count: number
}

/** Weights that are in S, or decoys. */
export interface SubsetBlock extends WeightRange {
  readonly isCode: boolean
}

/** Streams of one tensor by position: `first` is an index in stored order, `count` a number of weights. `close` wipes the keys. */
export class TensorStreams {
  readonly #tensorKey: Uint8Array
  readonly #streams = new Map<StreamLabel, KeyStream>()
  readonly #words = new Map<string, KeyStream>()

  /** `tensorKey`: K_t, 32 bytes; copied, so the caller wipes its own. */
  constructor(tensorKey: Uint8Array) {
    this.#tensorKey = Uint8Array.from(tensorKey)
  }

  /** s0 as bits, one byte each: 1 stands for +1, 0 for -1. */
  ownerSigns(first: number, count: number): Uint8Array {
    return this.#stream("owner-sign").readBits(first, count)
  }

  /** s as bits, in the same way. */
  codeSigns(first: number, count: number): Uint8Array {
    return this.#stream("code-sign").readBits(first, count)
  }

  /** The same as stream bytes: the bit of the first weight is bit `first` mod 8 of the first byte. */
  ownerSignBytes(first: number, count: number): Uint8Array {
    return this.#stream("owner-sign").readBitBytes(first, count)
  }

  codeSignBytes(first: number, count: number): Uint8Array {
    return this.#stream("code-sign").readBitBytes(first, count)
  }

  /** Bias bytes: p of a position is T8[byte] / 256 (tardos.ts). */
  biasBytes(first: number, count: number): Uint8Array {
    return this.#stream("code-bias").read(first, count)
  }

  /** Bytes of a device's code word: its bit is 1 where the byte is below t8 of the position. */
  wordBytes(word: CodeWord, first: number, count: number): Uint8Array {
    return this.#word(word).read(first, count)
  }

  /** u32 little-endian a weight: which steps a quantised weight takes. */
  picks(first: number, count: number): Uint32Array {
    return readWords(this.#stream("lsb-pick"), Uint32Array, first, count)
  }

  /** Where S and the decoys are, in ascending order; neighbours of one kind are one block. */
  blocks(first: number, count: number, { subset, decoys }: MarkParameters): readonly SubsetBlock[] {
    const firstBlock = Math.floor(first / SUBSET_BLOCK)
    const length = count === 0 ? 0 : Math.floor((first + count - 1) / SUBSET_BLOCK) - firstBlock + 1
    const values = readWords(this.#stream("subset"), Uint16Array, firstBlock, length)
    const blocks: SubsetBlock[] = []
    for (let block = 0; block < length; block += 1) {
      const value = values[block] ?? 0
      if (value >= subset + decoys) continue
      const from = (firstBlock + block) * SUBSET_BLOCK
      const end = Math.min(from + SUBSET_BLOCK, first + count)
      const isCode = value < subset
      const last = blocks.at(-1)
      if (last !== undefined && last.isCode === isCode && last.first + last.count === from)
        blocks[blocks.length - 1] = { ...last, count: end - last.first }
      else blocks.push({ first: Math.max(from, first), count: end - Math.max(from, first), isCode })
    }
    return blocks
  }

  /** The same as one byte a weight: `CODE` inside of S, `DECOY` for a decoy, 0 for neither. */
  subset(first: number, count: number, parameters: MarkParameters): Uint8Array {
    const out = new Uint8Array(count)
    for (const block of this.blocks(first, count, parameters)) {
      const from = block.first - first
      out.fill(block.isCode ? CODE : DECOY, from, from + block.count)
    }
    return out
  }

  /** u32 little-endian a weight of the blocks, one block behind the other: what filler is made of. */
  fillers(blocks: readonly WeightRange[]): Uint32Array {
    const bytes = this.#stream("base-fill").gather(
      blocks.map(({ first, count }) => ({ offset: first * 4, length: count * 4 })),
    )
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  }

  /** Code bits of a device in the blocks, one a weight, one block behind the other. */
  bits(word: CodeWord, blocks: readonly WeightRange[]): Uint8Array {
    const ranges = blocks.map(({ first, count }) => ({ offset: first, length: count }))
    return codeWordBits(this.#stream("code-bias").gather(ranges), this.#word(word).gather(ranges))
  }

  close(): void {
    wipe(this.#tensorKey)
    for (const stream of [...this.#streams.values(), ...this.#words.values()]) stream.close()
  }

  #stream(label: Exclude<StreamLabel, "code-word">): KeyStream {
    const known = this.#streams.get(label)
    if (known !== undefined) return known
    const stream = this.#open(label)
    this.#streams.set(label, stream)
    return stream
  }

  #word({ device, attempt }: CodeWord): KeyStream {
    const name = `${device}/${attempt}`
    const known = this.#words.get(name)
    if (known !== undefined) return known
    const stream = this.#open("code-word", codeWordContext(device, attempt))
    this.#words.set(name, stream)
    return stream
  }

  #open(label: StreamLabel, context?: Uint8Array<ArrayBuffer>): KeyStream {
    const key = streamKey(this.#tensorKey, label, context)
    try {
      return new KeyStream(key)
    } finally {
      wipe(key)
    }
  }
}

/** Values of `TensorStreams.subset`. */
export const CODE = 1
export const DECOY = 2

/**
 * π0 and π1 of a row of a quantised tensor as thresholds for `picks`: a pick below `owner` carries the owner's mark, one
 * below `owner + code` the device's. `ratio` is σ/Δ of the row.
 */
export function stepThresholds(
  parameters: MarkParameters,
  mode: "individual" | "fleet",
  ratio: number,
): { readonly owner: number; readonly code: number } {
  const threshold = (units: number) => Math.floor(Math.min(0.5, (strengthOf(units) * ratio) ** 2) * 2 ** 32)
  return {
    owner: threshold(parameters.strength),
    code: threshold(mode === "individual" ? parameters.strength : parameters.codeStrength),
  }
}

/** Whether a stored value can carry a step: not the zero point (a true zero), and no step may leave the type's range. */
export function isSteppable(stored: number, zeroPoint: number, type: "INT8" | "UINT8"): boolean {
  if (stored === zeroPoint) return false
  return type === "INT8" ? stored >= -126 && stored <= 126 : stored >= 1 && stored <= 254
}

function readWords<T extends Uint16Array | Uint32Array>(
  stream: KeyStream,
  type: {
    new (buffer: ArrayBufferLike, offset: number, length: number): T
    readonly BYTES_PER_ELEMENT: number
  },
  first: number,
  count: number,
): T {
  const width = type.BYTES_PER_ELEMENT
  // Every platform Node runs on is little-endian.
  const bytes = stream.read(first * width, count * width)
  return new type(bytes.buffer, bytes.byteOffset, count)
}
