/**
 * Wycheproof through the wrappers age files are opened with. What its authors call `acceptable` is decided here, by flag:
 *
 * | flag | decision |
 * | --- | --- |
 * | x25519 ZeroSharedSecret, LowOrderPublic | refused: age.md demands it |
 * | x25519 Twist, NonCanonicalPublic | computed: RFC 7748 defines the result, and it is not zero |
 * | ecdh CompressedPublic | computed: recipients are written compressed; a stanza's share has 65 bytes and never is |
 * | ecdh InvalidAsn, UnnamedCurve, UnusedParam | refused: points come raw or in the one DER spelling of P-256 |
 */
import { createHmac } from "node:crypto"
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { AppError } from "../../main/contract/errors.ts"
import { hkdfExtract, openAead } from "../../main/core/age/hpke.ts"
import { mlkemDecapsulate, mlkemKeyPair } from "../../main/core/age/mlkem.ts"
import { softwareP256, toUncompressed } from "../../main/core/age/p256.ts"
import { x25519 } from "../../main/core/age/x25519.ts"
import { concat, toHex } from "../../main/core/bytes/bytes.ts"
import { vector } from "../support/vectors.ts"

interface Case {
  readonly tcId: number
  readonly comment?: string
  readonly flags: readonly string[]
  readonly result: "valid" | "invalid" | "acceptable"
  /** Hex, but for `size`. Which fields there are depends on the file. */
  readonly [field: string]: unknown
}

/** Runs every case; `judge` returns what was computed as hex, or `null` when the input was refused. */
async function judgeAll(
  file: string,
  count: number,
  judge: (fields: Fields, flags: readonly string[]) => Promise<string | null> | string | null,
  expected: (fields: Fields) => string,
  isAccepted: (flags: readonly string[]) => boolean = () => false,
): Promise<void> {
  const suite = JSON.parse(readFileSync(vector("wycheproof", file), "utf8")) as {
    readonly testGroups: readonly { readonly tests: readonly Case[] }[]
  } // Wycheproof's own form
  const wrong: string[] = []
  let judged = 0
  for (const { tests } of suite.testGroups) {
    for (const each of tests) {
      judged += 1
      const fields = new Fields(each)
      const got = await judge(fields, each.flags)
      const good = each.result === "valid" || (each.result === "acceptable" && isAccepted(each.flags))
      if (got !== (good ? expected(fields) : null))
        wrong.push(
          `${each.tcId} ${each.comment ?? ""} [${each.flags.join(" ")}]: ${each.result}, got ${got ?? "a refusal"}`,
        )
    }
  }
  expect(wrong).toEqual([])
  expect(judged).toBe(count)
}

class Fields {
  readonly #case: Case

  constructor(each: Case) {
    this.#case = each
  }

  has(name: string): boolean {
    return name in this.#case
  }

  text(name: string): string {
    return String(this.#case[name])
  }

  bytes(name: string): Uint8Array {
    return Uint8Array.from(Buffer.from(this.text(name), "hex"))
  }
}

/** A refusal is `null` or an AppError; OpenSSL's own errors only where a length was wrong from the start. */
function refusing(work: () => Uint8Array | null): string | null {
  try {
    const bytes = work()
    return bytes === null ? null : toHex(bytes)
  } catch (error) {
    if (error instanceof AppError || error instanceof RangeError || error instanceof TypeError) return null
    throw error
  }
}

describe("Wycheproof", () => {
  test("chacha20_poly1305: opens what is authentic", async () => {
    await judgeAll(
      "chacha20_poly1305_test.json",
      325,
      (fields) =>
        refusing(() =>
          openAead(
            fields.bytes("key"),
            fields.bytes("iv"),
            concat(fields.bytes("ct"), fields.bytes("tag")),
            fields.bytes("aad"),
          ),
        ),
      (fields) => fields.text("msg"),
    )
  })

  test("x25519: computes what RFC 7748 defines and refuses a zero secret", async () => {
    await judgeAll(
      "x25519_test.json",
      518,
      (fields) => refusing(() => x25519(fields.bytes("private"), fields.bytes("public"))),
      (fields) => fields.text("shared"),
      (flags) => !flags.includes("ZeroSharedSecret"),
    )
  })

  test("ecdh_secp256r1: computes with points on the curve only", async () => {
    await judgeAll(
      "ecdh_secp256r1_ecpoint_test.json",
      355,
      async (fields) => ecdh(fields.bytes("private"), fields.bytes("public")),
      (fields) => fields.text("shared"),
      (flags) => flags.includes("CompressedPublic"),
    )
  })

  test("ecdh_secp256r1 in DER: one spelling, points on the curve only", async () => {
    await judgeAll(
      "ecdh_secp256r1_test.json",
      612,
      async (fields) => {
        const der = fields.text("public")
        const prefix = SPKI_PREFIXES.find((each) => der.startsWith(each))
        return prefix === undefined
          ? null
          : ecdh(fields.bytes("private"), fields.bytes("public").subarray(prefix.length / 2))
      },
      (fields) => fields.text("shared"),
      (flags) => flags.includes("CompressedPublic"),
    )
  })

  test("hkdf_sha256: extracts as published", async () => {
    await judgeAll(
      "hkdf_sha256_test.json",
      86,
      (fields) =>
        expand(
          hkdfExtract(fields.bytes("salt"), fields.bytes("ikm")),
          fields.bytes("info"),
          Number(fields.text("size")),
        ),
      (fields) => fields.text("okm"),
    )
  })

  test("mlkem_768: key pairs from seeds of 64 bytes, decapsulation with implicit rejection", async () => {
    await judgeAll(
      "mlkem_768_test.json",
      193,
      (fields) =>
        refusing(() => {
          const { publicKey, secretKey } = mlkemKeyPair(fields.bytes("seed"))
          if (fields.has("ek")) expect(toHex(publicKey)).toBe(fields.text("ek"))
          return mlkemDecapsulate(fields.bytes("c"), secretKey)
        }),
      (fields) => fields.text("K"),
    )
  })

  test("mlkem_768_semi_expanded_decaps: refuses keys and ciphertexts of another form", async () => {
    await judgeAll(
      "mlkem_768_semi_expanded_decaps_test.json",
      9,
      (fields) => {
        try {
          const secret = mlkemDecapsulate(fields.bytes("c"), fields.bytes("dk"))
          return secret === null ? null : toHex(secret)
        } catch {
          // Our keys come from seeds; one that does not hold together is a fault of ours, not an answer.
          return null
        }
      },
      (fields) => fields.text("K"),
    )
  })
})

/** SubjectPublicKeyInfo of P-256, uncompressed and compressed, up to the point. */
const SPKI_PREFIXES = [
  "3059301306072a8648ce3d020106082a8648ce3d030107034200",
  "3039301306072a8648ce3d020106082a8648ce3d030107032200",
]

async function ecdh(scalar: Uint8Array, point: Uint8Array): Promise<string | null> {
  const share = toUncompressed(point)
  if (share === null) return null
  const padded = new Uint8Array(32)
  const digits = scalar.subarray(Math.max(0, scalar.length - 32))
  padded.set(digits, 32 - digits.length)
  return toHex(await softwareP256(padded).ecdh(share))
}

/** RFC 5869 2.3; `null` for more than 255 blocks. */
function expand(key: Uint8Array, info: Uint8Array, size: number): string | null {
  if (size > 255 * 32) return null
  const out: Uint8Array[] = []
  for (let block = 1; (block - 1) * 32 < size; block += 1) {
    out.push(
      createHmac("sha256", key)
        .update(concat(out.at(-1) ?? new Uint8Array(0), info, Uint8Array.of(block)))
        .digest(),
    )
  }
  return toHex(concat(...out).subarray(0, size))
}
