/** Keys for tests: the shape that hardware will have, over a private key in memory. */
import { createPublicKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto"
import type { Signer } from "../../main/core/attest/dsse.ts"

export interface TestKey {
  readonly privateKey: KeyObject
  readonly pem: string
  readonly signer: Signer
}

const HASH = { "P-256": "sha256", "P-384": "sha384", "P-521": "sha512" } as const

export function newTestKey(curve: keyof typeof HASH = "P-256"): TestKey {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: curve })
  const pem = createPublicKey(privateKey).export({ type: "spki", format: "pem" }).toString()
  return {
    privateKey,
    pem,
    signer: {
      publicKeyPem: () => pem,
      sign: async (message) => ecdsaOver(message, { privateKey, curve }),
    },
  }
}

/** ECDSA in DER with the hash of the curve. */
export function ecdsaOver(
  message: Uint8Array,
  { privateKey, curve }: { privateKey: KeyObject; curve: keyof typeof HASH },
): Uint8Array {
  return sign(HASH[curve], message, { key: privateKey, dsaEncoding: "der" })
}
