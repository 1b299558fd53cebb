/** The scrypt recipient type (C2SP age.md, "The scrypt recipient type"): a passphrase. */
import { scryptSync } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { concat, toRawBase64, toUtf8, wipe } from "../bytes/bytes.ts"
import type { Stanza } from "./stanza.ts"
import { openAead } from "./hpke.ts"
import { parseRawBase64 } from "../bytes/bytes.ts"
import { WRAPPED_KEY_BYTES, type Identity, type Recipient } from "./recipient.ts"
import { sealKey } from "./x25519.ts"

const TYPE = "scrypt"
const LABEL = "age-encryption.org/v1/scrypt"
const SALT_BYTES = 16
const BLOCK_SIZE = 8

/** log2 N that new files use: about a second and 256 MiB, as age does. */
const WORK_FACTOR = 18
/** Largest log2 N we follow by default: whoever wrote the file chooses the cost, we choose the limit. */
const MAX_WORK_FACTOR = 20

export function scryptRecipient(passphrase: Uint8Array, workFactor: number = WORK_FACTOR): Recipient {
  return {
    type: TYPE,
    text: "a passphrase",
    wrap(fileKey, random) {
      const salt = random(SALT_BYTES)
      const key = stretch(passphrase, salt, workFactor)
      return { type: TYPE, args: [toRawBase64(salt), String(workFactor)], body: sealKey(key, fileKey) }
    },
  }
}

/** Throws AGE_WORK_FACTOR when a file asks for more than `maxWorkFactor` (log2 N), before any of it is spent. */
export function scryptIdentity(passphrase: Uint8Array, maxWorkFactor: number = MAX_WORK_FACTOR): Identity {
  return {
    async unwrap(stanzas) {
      const stanza = stanzas.find((candidate) => candidate.type === TYPE)
      if (stanza === undefined) return null
      // A passphrase authenticates the writer too, so it may not stand beside recipients anyone can add.
      if (stanzas.length !== 1) throw new AppError("AGE_MALFORMED", "a scrypt stanza must be the only one")
      const { salt, workFactor } = readArguments(stanza)
      if (workFactor > maxWorkFactor) {
        throw new AppError(
          "AGE_WORK_FACTOR",
          `the work factor is 2^${workFactor}, the limit 2^${maxWorkFactor}`,
        )
      }
      const key = stretch(passphrase, salt, workFactor)
      const fileKey = openAead(key, new Uint8Array(12), stanza.body)
      wipe(key)
      return fileKey
    },
  }
}

function readArguments(stanza: Stanza): { readonly salt: Uint8Array; readonly workFactor: number } {
  const [saltText, factorText] = stanza.args
  const salt = saltText === undefined ? null : parseRawBase64(saltText)
  const isFactor = factorText !== undefined && /^[1-9][0-9]*$/.test(factorText)
  if (
    stanza.args.length !== 2 ||
    salt?.length !== SALT_BYTES ||
    !isFactor ||
    stanza.body.length !== WRAPPED_KEY_BYTES
  ) {
    throw new AppError("AGE_MALFORMED", "a scrypt stanza has arguments or a body of the wrong form")
  }
  return { salt, workFactor: Number(factorText) }
}

function stretch(passphrase: Uint8Array, salt: Uint8Array, workFactor: number): Uint8Array {
  const cost = 2 ** workFactor
  return scryptSync(passphrase, concat(toUtf8(LABEL), salt), 32, {
    N: cost,
    r: BLOCK_SIZE,
    p: 1,
    maxmem: 128 * BLOCK_SIZE * (cost + 8),
  })
}
