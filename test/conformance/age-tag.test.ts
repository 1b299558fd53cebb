/** The tag recipients age's own plugin publishes, opened and written again; and every recipient type against itself. */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { parseBech32 } from "../../main/core/age/bech32.ts"
import { decryptBytes, encryptBytes } from "../../main/core/age/file.ts"
import { mlkemKeyPair } from "../../main/core/age/mlkem.ts"
import { generatePq, pqIdentityText } from "../../main/core/age/mlkem768x25519.ts"
import { softwareP256 } from "../../main/core/age/p256.ts"
import { p256TagIdentity, p256TagRecipient } from "../../main/core/age/p256tag.ts"
import type { Identity, Recipient } from "../../main/core/age/recipient.ts"
import { parseIdentity, parseRecipient } from "../../main/core/age/recipients.ts"
import { scryptIdentity, scryptRecipient } from "../../main/core/age/scrypt.ts"
import { generateX25519, x25519IdentityText } from "../../main/core/age/x25519.ts"
import { concat, toHex, toUtf8 } from "../../main/core/bytes/bytes.ts"
import { seededRandom } from "../support/seeded-random.ts"
import { pqTagSeed, tagIdentities, tagScalar, tagVectors } from "../support/tag-keys.ts"
import { vector } from "../support/vectors.ts"

describe("age tag recipients", () => {
  test("the published private keys give the published recipients", () => {
    expect(p256TagRecipient(softwareP256(tagScalar).publicPoint).text).toBe(tagVectors.recipient_p256tag)
    const hybrid = concat(
      mlkemKeyPair(pqTagSeed.lattice).publicKey,
      softwareP256(pqTagSeed.scalar).publicPoint,
    )
    expect(toHex(hybrid)).toBe(toHex(publicBytes(tagVectors.recipient_mlkem768p256tag)))
  })

  test.each(Object.entries(tagVectors.files))(
    "%s opens to the plaintext its author sealed",
    async (name, file) => {
      const plain = await decryptBytes(readFileSync(vector("age-p256tag", name)), tagIdentities())
      expect(plain).toHaveLength(file.plaintext_len)
      expect(createHash("sha256").update(plain).digest("hex")).toBe(file.plaintext_sha256)
    },
  )
})

const random = seededRandom(7)

const PAIRS: readonly (readonly [string, () => readonly [Recipient, Identity]])[] = [
  [
    "X25519",
    () => {
      const { secretKey, recipient } = generateX25519(random)
      return [parseRecipient(recipient), parseIdentity(x25519IdentityText(secretKey))]
    },
  ],
  [
    "mlkem768x25519",
    () => {
      const { seed, recipient } = generatePq(random)
      return [parseRecipient(recipient), parseIdentity(pqIdentityText(seed))]
    },
  ],
  [
    "p256tag",
    () => {
      const key = softwareP256(tagScalar)
      return [p256TagRecipient(key.publicPoint), p256TagIdentity(key)]
    },
  ],
  [
    "mlkem768p256tag",
    () => {
      const [, identity] = tagIdentities()
      if (identity === undefined) throw new Error("the hybrid identity is missing")
      return [parseRecipient(tagVectors.recipient_mlkem768p256tag), identity]
    },
  ],
  ["scrypt", () => [scryptRecipient(toUtf8("correct horse"), 10), scryptIdentity(toUtf8("correct horse"))]],
]

describe.each(PAIRS)("a file to a recipient of type %s", (type, pair) => {
  const plain = toUtf8("weights")

  test("is opened by its identity", async () => {
    const [recipient, identity] = pair()
    expect(recipient.type).toBe(type)
    expect(await decryptBytes(encryptBytes(plain, [recipient], random), [identity])).toEqual(plain)
  })

  test("is not for anybody else", async () => {
    const others = PAIRS.filter(([name]) => name !== type).map(([, make]) => make()[1])
    const file = encryptBytes(plain, [pair()[0]], random)
    await expect(decryptBytes(file, others)).toFailWithCode("WRONG_KEY")
  })
})

/** What a recipient text encodes. */
function publicBytes(text: string): Uint8Array {
  const decoded = parseBech32(text)
  if (decoded === null) throw new Error("not bech32")
  return decoded.bytes
}
