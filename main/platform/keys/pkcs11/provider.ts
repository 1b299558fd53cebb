/** Keys in PKCS#11 tokens: HSMs, smart cards, security keys, SoftHSM. The module runs in a process of its own. */
import { createHash, createPublicKey } from "node:crypto"
import { AppError } from "../../../contract/errors.ts"
import type { DoctorCheck } from "../../../contract/schema/doctor.ts"
import type { P256Key } from "../../../core/age/p256.ts"
import { p256TagIdentity, p256TagRecipient } from "../../../core/age/p256tag.ts"
import type { Random } from "../../../core/age/recipient.ts"
import { wipe } from "../../../core/bytes/bytes.ts"
import type { KeyAssurance, NewKey } from "../../../services/ports/keys.ts"
import type { Prompter } from "../../../services/ports/prompter.ts"
import { toDerSignature } from "../ecdsa.ts"
import { placeOf, type KeyProvider, type MadeKey } from "../provider.ts"
import { pemOf, pemOfPoint, pointOfPem } from "../public-key.ts"
import type { KeyRecord } from "../record.ts"
import { diagnoseTokens } from "./diagnose.ts"
import { ModuleProcess } from "./module-process.ts"
import type { PublicFacts, TokenFacts } from "./protocol.ts"
import { MessageKey, sealOnce } from "./sealed-message.ts"
import { parseUri, toUri, type KeyTarget, type TokenTarget } from "./uri.ts"

/** Bytes of CKA_ID of keys made here. */
const ID_BYTES = 16

export class Pkcs11Provider implements KeyProvider {
  readonly name = "pkcs11"
  readonly #random: Random
  readonly #prompter: Prompter
  readonly #process = new ModuleProcess()
  /** Logins one after the other, so that a batch asks once. */
  #login: Promise<unknown> = Promise.resolve()

  constructor(random: Random, prompter: Prompter) {
    this.#random = random
    this.#prompter = prompter
  }

  async create({ name, purpose, algorithm, place }: NewKey): Promise<MadeKey> {
    if (place.provider !== "pkcs11" || purpose === "attestation")
      throw new AppError("KEY_PURPOSE", "a token holds signing keys and device keys")
    if (algorithm !== "P-256") throw new AppError("KEY_PURPOSE", "a token's new keys are on P-256")
    const wanted = parseUri(place.uri)
    await this.#unlock(wanted)
    const facts = place.adopt
      ? await this.#process.ask("find", { target: wanted })
      : await this.#process.ask("generate", {
          target: wanted,
          purpose: purpose === "device" ? "device" : "signing",
          label: wanted.object ?? name,
          id: wanted.id ?? this.#random(ID_BYTES),
        })
    const token = await this.#process.ask("token", { target: wanted })
    const target: KeyTarget = {
      module: wanted.module,
      token: token.label,
      serial: token.serial,
      manufacturer: null,
      model: null,
      slotId: null,
      object: facts.label === "" ? null : facts.label,
      id: facts.id.length === 0 ? null : facts.id,
    }
    const isRsa = facts.key.kind === "rsa"
    if (isRsa && purpose !== "signing")
      throw new AppError("KEY_PURPOSE", "an RSA key signs and cannot be a device key")
    return {
      algorithm: isRsa ? "RSA" : "P-256",
      publicKeyPem: toPem(facts),
      recipient:
        purpose === "device" && facts.key.kind === "p-256" ? p256TagRecipient(facts.key.point).text : null,
      location: toUri(target),
      unlock: token.needsLogin ? "pin" : "nothing",
      assurance: await this.#judge(target, token),
      place: { provider: "pkcs11", uri: toUri(target), isAdopted: place.adopt },
    }
  }

  async remove(key: KeyRecord): Promise<void> {
    if (placeOf(key, "pkcs11").isAdopted) return
    await this.#unlocked(key, async (target) => this.#process.ask("destroy", { target }))
  }

  async sign(key: KeyRecord, message: Uint8Array): Promise<Uint8Array> {
    const digest = createHash("sha256").update(message).digest()
    const kind = key.algorithm === "RSA" ? "rsa-pss" : "ecdsa"
    const raw = await this.#unlocked(key, async (target) =>
      this.#process.ask("sign", { target, digest, kind }),
    )
    if (kind === "rsa-pss") return raw
    if (raw.length !== 64) throw new AppError("TOKEN_FAILED", "the token's signature has the wrong form")
    return toDerSignature(raw.subarray(0, 32), raw.subarray(32))
  }

  async ecdh(key: KeyRecord, point: Uint8Array): Promise<Uint8Array> {
    const answerKey = new MessageKey()
    try {
      const sealed = await this.#unlocked(key, async (target) =>
        this.#process.ask("derive", { target, point, sealTo: answerKey.publicKey }),
      )
      return answerKey.open(sealed)
    } finally {
      answerKey.wipe()
    }
  }

  async identity(key: KeyRecord) {
    const half: P256Key = {
      publicPoint: pointOfPem(key.publicKeyPem),
      ecdh: async (point) => this.ecdh(key, point),
    }
    return p256TagIdentity(half)
  }

  async assurance(key: KeyRecord) {
    return this.#unlocked(key, async (target) =>
      this.#judge(target, await this.#process.ask("token", { target })),
    )
  }

  async diagnose(): Promise<readonly DoctorCheck[]> {
    return diagnoseTokens()
  }

  async close(): Promise<void> {
    await this.#process.close()
  }

  async #unlocked<T>(key: KeyRecord, action: (target: KeyTarget) => Promise<T>): Promise<T> {
    const target = parseUri(placeOf(key, "pkcs11").uri)
    await this.#unlock(target)
    return action(target)
  }

  /** Logs in unless that was done. A wrong PIN is an answer for the user: it is never tried again from here. */
  async #unlock(target: TokenTarget): Promise<void> {
    const attempt = this.#login.then(async () => this.#logIn(target))
    this.#login = attempt.catch(() => null)
    await attempt
  }

  async #logIn(target: TokenTarget): Promise<void> {
    const token = await this.#process.ask("token", { target })
    if (token.isLoggedIn || !token.needsLogin) return
    if (token.pin === "locked")
      throw new AppError("TOKEN_PIN_LOCKED", `the PIN of token ${token.label} is locked`)
    const pin = token.hasPinPad
      ? null
      : await this.#prompter.ask({
          kind: "pin",
          subject: `token ${token.label}`,
          notice: NOTICE[token.pin],
          isNew: false,
        })
    try {
      const sealed = pin === null ? null : sealOnce(pin, await this.#process.ask("pinKey", null))
      await this.#process.ask("login", { target, pin: sealed })
    } finally {
      wipe(pin)
    }
  }

  async #judge(target: KeyTarget, token: TokenFacts): Promise<KeyAssurance> {
    const { isLocal, isSensitive, isNeverExtractable } = await this.#process.ask("describe", { target })
    const isKept = isSensitive && isNeverExtractable
    return {
      level: token.isHardware && isLocal && isKept ? "hardware" : "software",
      evidence: [
        `token ${token.label}, ${token.manufacturer} ${token.model}, serial ${token.serial}`,
        token.isHardware
          ? "its module calls it a hardware device"
          : "its module does not call it a hardware device: it may be a program",
        isLocal
          ? "the token made the key"
          : "the key was made elsewhere and brought into the token: copies may exist",
        isKept ? "the key never could leave the token" : "the key can or could leave the token",
      ],
    }
  }
}

const NOTICE = {
  fresh: null,
  locked: null,
  "count-low": "a wrong PIN was given before: few tries are left",
  "final-try": "one try is left before the token locks",
} as const satisfies Record<TokenFacts["pin"], string | null>

function toPem({ key }: PublicFacts): string {
  if (key.kind === "p-256") return pemOfPoint(key.point)
  const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url")
  return pemOf(
    createPublicKey({ key: { kty: "RSA", n: encode(key.modulus), e: encode(key.exponent) }, format: "jwk" }),
  )
}
