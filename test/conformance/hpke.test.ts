/** Published HPKE vectors of the suites age's recipients use, through our KEM combiner, key schedule and AEAD. */
import { createCipheriv, createHash, createHmac } from "node:crypto"
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { dhkemP256Secret, KEM, keySchedule, openAead } from "../../main/core/age/hpke.ts"
import {
  combineSecrets,
  expandSeed,
  MLKEM_CIPHERTEXT_BYTES,
  MLKEM_SEED_BYTES,
  mlkemDecapsulate,
  mlkemKeyPair,
} from "../../main/core/age/mlkem.ts"
import { softwareP256 } from "../../main/core/age/p256.ts"
import { x25519, x25519PublicKey } from "../../main/core/age/x25519.ts"
import { concat, toHex, toUtf8 } from "../../main/core/bytes/bytes.ts"
import { expandHybridSeed } from "../support/tag-keys.ts"
import { vector } from "../support/vectors.ts"

interface Suite {
  readonly mode: number
  readonly kem_id: number
  readonly kdf_id: number
  readonly aead_id: number
  readonly info: string
  readonly skRm: string
  readonly pkRm: string
  readonly enc: string
  readonly shared_secret?: string
  readonly key?: string
  readonly base_nonce?: string
  readonly exporter_secret?: string
  readonly encryptions?: readonly { readonly aad: string; readonly ct: string }[]
  readonly exports?: readonly {
    readonly exporter_context: string
    readonly L: number
    readonly exported_value: string
  }[]
  readonly encryptions_accumulated?: string
  readonly exports_accumulated?: string
}

const KDF_HKDF_SHA256 = 1
const AEAD_CHACHA20_POLY1305 = 3
const suites = ["rfc9180.json", "hpke-pq.json"].flatMap(
  (name) => JSON.parse(readFileSync(vector("hpke", name), "utf8")) as readonly Suite[], // its own form
)
const p256 = suiteOf(KEM.dhkemP256, AEAD_CHACHA20_POLY1305)
const xWing = suiteOf(KEM.mlkem768X25519, AEAD_CHACHA20_POLY1305)
/** No vector pairs this KEM with our AEAD: its shared secret counts. */
const hybridP256 = suiteOf(KEM.mlkem768P256, 1)

describe("HPKE", () => {
  test.each([xWing, hybridP256])("KEM $kem_id decapsulates to the published shared secret", async (suite) => {
    expect(toHex(await sharedSecret(suite))).toBe(suite.shared_secret)
  })

  test("mlkem768x25519 derives the published keys, opens what they sealed, and exports", async () => {
    const { key, nonce, exporter } = keySchedule(xWing.kem_id, await sharedSecret(xWing), hex(xWing.info))
    expect([toHex(key), toHex(nonce), toHex(exporter)]).toEqual([
      xWing.key,
      xWing.base_nonce,
      xWing.exporter_secret,
    ])
    const encryptions = xWing.encryptions ?? []
    expect(encryptions).not.toHaveLength(0)
    for (const [sequence, { aad, ct }] of encryptions.entries()) {
      expect(openAead(key, sequenceNonce(nonce, sequence), hex(ct), hex(aad))).not.toBeNull()
    }
    const exports = xWing.exports ?? []
    expect(exports).not.toHaveLength(0)
    for (const { exporter_context, L, exported_value } of exports) {
      expect(toHex(exportSecret(xWing, exporter, hex(exporter_context), L))).toBe(exported_value)
    }
  })

  test("p256tag seals and opens a thousand messages as published", async () => {
    const { key, nonce } = keySchedule(p256.kem_id, await sharedSecret(p256), hex(p256.info))
    const inputs = inputStream()
    const sealed = createHash("shake128", { outputLength: 16 })
    for (let sequence = 0; sequence < 1000; sequence += 1) {
      const aad = inputs()
      const plain = inputs()
      const at = sequenceNonce(nonce, sequence)
      const cipher = createCipheriv("chacha20-poly1305", key, at, { authTagLength: 16 })
      cipher.setAAD(aad, { plaintextLength: plain.length })
      const message = concat(cipher.update(plain), cipher.final(), cipher.getAuthTag())
      sealed.update(message)
      const opened = openAead(key, at, message, aad)
      expect(opened === null ? -1 : Buffer.compare(opened, plain)).toBe(0)
    }
    expect(sealed.digest("hex")).toBe(p256.encryptions_accumulated)
  })

  test("p256tag exports a thousand secrets as published", async () => {
    const { exporter } = keySchedule(p256.kem_id, await sharedSecret(p256), hex(p256.info))
    const contexts = inputStream()
    const exported = createHash("shake128", { outputLength: 16 })
    for (let length = 0; length < 1000; length += 1)
      exported.update(exportSecret(p256, exporter, contexts(), length))
    expect(exported.digest("hex")).toBe(p256.exports_accumulated)
  })
})

function suiteOf(kem: number, aead: number): Suite {
  const found = suites.find(
    ({ kem_id, kdf_id, aead_id }) => kem_id === kem && kdf_id === KDF_HKDF_SHA256 && aead_id === aead,
  )
  if (found === undefined) throw new Error(`no vector of KEM ${kem} with AEAD ${aead}`)
  return found
}

/** The receiver's side of the KEM, as our identities compute it. */
async function sharedSecret(suite: Suite): Promise<Uint8Array> {
  const enc = hex(suite.enc)
  if (suite.kem_id === KEM.dhkemP256) {
    const key = softwareP256(hex(suite.skRm))
    const dh = await key.ecdh(enc)
    return dhkemP256Secret(dh, enc, key.publicPoint)
  }
  const ciphertext = enc.subarray(0, MLKEM_CIPHERTEXT_BYTES)
  const share = enc.subarray(MLKEM_CIPHERTEXT_BYTES)
  if (suite.kem_id === KEM.mlkem768P256) {
    const { lattice, scalar } = expandHybridSeed(hex(suite.skRm))
    const key = softwareP256(scalar)
    return combineSecrets(
      decapsulated(ciphertext, lattice),
      await key.ecdh(share),
      share,
      key.publicPoint,
      "MLKEM768-P256",
    )
  }
  const expanded = expandSeed(hex(suite.skRm), MLKEM_SEED_BYTES + 32)
  const curveSecret = expanded.subarray(MLKEM_SEED_BYTES)
  return combineSecrets(
    decapsulated(ciphertext, expanded.subarray(0, MLKEM_SEED_BYTES)),
    x25519(curveSecret, share),
    share,
    x25519PublicKey(curveSecret),
    "\\.//^\\",
  )
}

function decapsulated(ciphertext: Uint8Array, seed: Uint8Array): Uint8Array {
  const secret = mlkemDecapsulate(ciphertext, mlkemKeyPair(seed).secretKey)
  if (secret === null) throw new Error("the ciphertext has the wrong length")
  return secret
}

function sequenceNonce(base: Uint8Array, sequence: number): Uint8Array {
  const nonce = Buffer.from(base)
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ sequence) >>> 0, 8)
  return nonce
}

/** RFC 9180 5.3, over HKDF-SHA256. `length`: bytes. */
function exportSecret(suite: Suite, exporter: Uint8Array, context: Uint8Array, length: number): Uint8Array {
  const id = Buffer.alloc(6)
  id.writeUInt16BE(suite.kem_id, 0)
  id.writeUInt16BE(suite.kdf_id, 2)
  id.writeUInt16BE(suite.aead_id, 4)
  const size = Buffer.alloc(2)
  size.writeUInt16BE(length)
  const info = concat(size, toUtf8("HPKE-v1"), toUtf8("HPKE"), id, toUtf8("sec"), context)
  const out = Buffer.alloc(Math.ceil(length / 32) * 32)
  for (let block = 0; block * 32 < length; block += 1) {
    const before = block === 0 ? new Uint8Array(0) : out.subarray((block - 1) * 32, block * 32)
    createHmac("sha256", exporter)
      .update(concat(before, info, Uint8Array.of(block + 1)))
      .digest()
      .copy(out, block * 32)
  }
  return out.subarray(0, length)
}

/** The generator's inputs: SHAKE128 of nothing, read as a length byte and that many bytes. */
function inputStream(): () => Uint8Array {
  const stream = createHash("shake128", { outputLength: 600_000 }).digest()
  let at = 0
  return () => {
    const length = stream[at] ?? 0
    at += 1 + length
    return Uint8Array.from(stream.subarray(at - length, at))
  }
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"))
}
