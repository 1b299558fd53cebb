/** Genuine age files of every recipient type, taken apart so that lies can be told about each part. */
import { chunksOf, openHeader, readHeaderOf, startFile, unwrapFileKey } from "../../main/core/age/file.ts"
import { readHeader, type Header } from "../../main/core/age/header.ts"
import type { Stanza } from "../../main/core/age/stanza.ts"
import { generatePq, pqIdentityText } from "../../main/core/age/mlkem768x25519.ts"
import { softwareP256 } from "../../main/core/age/p256.ts"
import { p256TagIdentity, p256TagRecipient } from "../../main/core/age/p256tag.ts"
import type { Identity, Random, Recipient } from "../../main/core/age/recipient.ts"
import { isPostQuantum, parseIdentity, parseRecipient } from "../../main/core/age/recipients.ts"
import { scryptIdentity, scryptRecipient } from "../../main/core/age/scrypt.ts"
import { CHUNK_BYTES, nodeChunkCipher, sealedSize } from "../../main/core/age/stream.ts"
import { generateX25519, x25519IdentityText } from "../../main/core/age/x25519.ts"
import { concat, toUtf8 } from "../../main/core/bytes/bytes.ts"
import { sourceOf } from "../../main/core/bytes/source.ts"
import { seededRandom } from "../support/seeded-random.ts"
import { tagIdentities, tagScalar, tagVectors } from "../support/tag-keys.ts"

export interface AgeSample {
  readonly name: string
  readonly type: Recipient["type"]
  readonly file: Uint8Array
  readonly header: Header
  /** The header as text, a line each, without newlines. */
  readonly lines: readonly string[]
  readonly fileKey: Uint8Array
  /** Payload key, and where the chunks start. */
  readonly key: Uint8Array
  readonly chunksOffset: number
  readonly plain: Uint8Array
  readonly identities: readonly Identity[]
  /** The recipient's public key as its type writes it. */
  readonly recipientText: string
}

/** Files with a post-quantum stanza are few, since opening one costs as much as ten others. */
const SIZES = [0, 40, CHUNK_BYTES, CHUNK_BYTES + 100, 2 * CHUNK_BYTES + 100]
const COSTLY_SIZES = [40, CHUNK_BYTES + 100]

/** Same seed, same files. */
export async function makeAgeSamples(seed: number): Promise<readonly AgeSample[]> {
  const random = seededRandom(seed)
  const samples: AgeSample[] = []
  for (const [recipients, identity] of pairs(random)) {
    const isCostly = recipients.some((recipient) => isPostQuantum(recipient))
    for (const size of isCostly ? COSTLY_SIZES : SIZES)
      samples.push(await makeSample(recipients, identity, size, random))
  }
  return samples
}

function pairs(random: Random): readonly (readonly [readonly Recipient[], Identity])[] {
  const x25519 = generateX25519(random)
  const other = generateX25519(random)
  const pq = generatePq(random)
  const tag = softwareP256(tagScalar)
  const [, hybrid] = tagIdentities()
  if (hybrid === undefined) throw new Error("the hybrid identity is missing")
  return [
    [
      [parseRecipient(x25519.recipient), parseRecipient(other.recipient)],
      parseIdentity(x25519IdentityText(x25519.secretKey)),
    ],
    [[p256TagRecipient(tag.publicPoint), parseRecipient(other.recipient)], p256TagIdentity(tag)],
    [[parseRecipient(pq.recipient)], parseIdentity(pqIdentityText(pq.seed))],
    [[parseRecipient(tagVectors.recipient_mlkem768p256tag)], hybrid],
    [[scryptRecipient(toUtf8("battery staple"), 2)], scryptIdentity(toUtf8("battery staple"))],
  ]
}

async function makeSample(
  recipients: readonly Recipient[],
  identity: Identity,
  size: number,
  random: Random,
): Promise<AgeSample> {
  const plain = random(size)
  const { prefix, key } = startFile(recipients, random)
  const chunks = new Uint8Array(sealedSize(size))
  nodeChunkCipher.seal(key, 0, true, plain, chunks)
  const file = concat(prefix, chunks)
  const header = readHeader(file)
  if (header === null) throw new Error("a sample has no header")
  const opened = await openHeader(sourceOf(file), [identity])
  return {
    name: `${recipients[0]?.type ?? ""} ${size}`,
    type: recipients[0]?.type ?? "X25519",
    file,
    header,
    lines: Buffer.from(file.subarray(0, header.size - 1))
      .toString("latin1")
      .split("\n"),
    fileKey: await unwrapFileKey(await readHeaderOf(sourceOf(file)), [identity]),
    key: opened.key,
    chunksOffset: file.length - chunksOf(sourceOf(file), opened).size,
    plain,
    identities: [identity],
    recipientText: recipients[0]?.text ?? "",
  }
}

/** A sample's first stanza: the one its identity opens. */
export function firstStanza(sample: AgeSample): Stanza {
  const [stanza] = sample.header.stanzas
  if (stanza === undefined) throw new Error("a sample has no stanza")
  return stanza
}
