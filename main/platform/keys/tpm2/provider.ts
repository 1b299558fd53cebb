/** Keys in a TPM 2.0. The chip does the one operation; this process never sees the private half. */
import { createHash } from "node:crypto"
import type { NewTpmKey, Tpm, TpmKey } from "../../../../native/lib/tpm.ts"
import { AppError } from "../../../contract/errors.ts"
import type { Key, KeyPlace } from "../../../contract/schema/keys.ts"
import { MLKEM_SEED_BYTES, mlkemKeyPair } from "../../../core/age/mlkem.ts"
import { pqTagIdentity, pqTagRecipient } from "../../../core/age/mlkem768p256tag.ts"
import type { P256Key } from "../../../core/age/p256.ts"
import { p256TagIdentity, p256TagRecipient } from "../../../core/age/p256tag.ts"
import type { Random } from "../../../core/age/recipient.ts"
import { concat, parseBase64, toBase64, wipe } from "../../../core/bytes/bytes.ts"
import type { NewKey } from "../../../services/ports/keys.ts"
import type { Prompter } from "../../../services/ports/prompter.ts"
import { toDerSignature } from "../ecdsa.ts"
import { placeOf, type KeyProvider, type MadeKey } from "../provider.ts"
import { pemOfPoint, pointOfPem } from "../public-key.ts"
import type { KeyRecord, PlaceRecord } from "../record.ts"
import { SecretMemory } from "../secret-memory.ts"
import { chooseTcti, TpmConnections } from "./connections.ts"
import { diagnoseTpm } from "./diagnose.ts"
import { ATTRIBUTE, has, judge, readFacts } from "./facts.ts"

type Place = Extract<PlaceRecord, { readonly provider: "tpm2" }>
type Wanted = Extract<KeyPlace, { readonly provider: "tpm2" }>

/** Handles for new persistent keys start here, away from those other software is known to take. */
const FIRST_HANDLE = 0x8100_5e00

export class Tpm2Provider implements KeyProvider {
  readonly name = "tpm2"
  readonly #tcti: string | null
  readonly #random: Random
  readonly #prompter: Prompter
  readonly #connections = new TpmConnections()
  readonly #auths = new SecretMemory()

  /** `tcti`: the TPM this process is to use whatever a key's record says; null follows the record. */
  constructor(tcti: string | null, random: Random, prompter: Prompter) {
    this.#tcti = tcti
    this.#random = random
    this.#prompter = prompter
  }

  async create(wanted: NewKey): Promise<MadeKey> {
    const { place } = wanted
    if (place.provider !== "tpm2") throw new AppError("INTERNAL", "a key for another provider")
    if (wanted.algorithm === "X25519")
      throw new AppError("KEY_PURPOSE", "TPMs have no X25519 keys: use P-256")
    const tcti = chooseTcti(this.#tcti, place.tcti)
    const auth = place.auth
      ? await this.#prompter.ask({
          kind: "auth",
          subject: `key ${wanted.name}`,
          notice: null,
          isNew: place.adopt === null,
        })
      : null
    try {
      return await this.#connections.use(tcti, async (tpm) =>
        place.adopt === null
          ? this.#make(tpm, wanted, place, auth)
          : this.#adopt(tpm, wanted, place, place.adopt),
      )
    } finally {
      wipe(auth)
    }
  }

  async #make(tpm: Tpm, wanted: NewKey, place: Wanted, auth: Uint8Array | null): Promise<MadeKey> {
    const persistent = place.persistent ? await freeHandle(tpm) : null
    const options: Omit<NewTpmKey, "kind"> = { auth, pcrs: place.pcrs, persistent }
    const made = await tpm.createKey({
      ...options,
      kind: wanted.purpose === "authority" ? "signing" : wanted.purpose,
    })
    const seed = wanted.algorithm === "P-256+ML-KEM-768" ? this.#random(MLKEM_SEED_BYTES) : null
    try {
      const sealed =
        seed === null
          ? null
          : await tpm.createKey({ ...options, kind: "sealed", persistent: null, data: seed }, made.parentName)
      const point = made.point ?? new Uint8Array(0)
      const recipient =
        wanted.purpose !== "device"
          ? null
          : seed === null
            ? p256TagRecipient(point).text
            : pqTagRecipient(concat(mlkemKeyPair(seed).publicKey, point)).text
      return {
        algorithm: wanted.algorithm,
        publicKeyPem: pemOfPoint(point),
        recipient,
        location:
          persistent === null ? "a blob only this TPM can load" : `TPM, handle ${toHandle(persistent)}`,
        unlock: auth === null ? "nothing" : "auth",
        assurance: judge(made, await readFacts(tpm)),
        place: {
          provider: "tpm2",
          tcti: place.tcti,
          object:
            persistent === null
              ? { kind: "blob", public: toBase64(made.public), private: toBase64(made.private) }
              : { kind: "persistent", handle: persistent, isAdopted: false },
          name: toBase64(made.name),
          parentName: toBase64(made.parentName),
          pcrs: place.pcrs,
          seed:
            sealed === null
              ? null
              : {
                  public: toBase64(sealed.public),
                  private: toBase64(sealed.private),
                  name: toBase64(sealed.name),
                },
        },
      }
    } finally {
      wipe(seed)
    }
  }

  /** Takes over a key that other software keeps in the TPM. */
  async #adopt(tpm: Tpm, wanted: NewKey, place: Wanted, handle: number): Promise<MadeKey> {
    if (wanted.algorithm !== "P-256") throw new AppError("KEY_PURPOSE", "only a new key can be a hybrid")
    const object = { kind: "persistent", handle } as const
    const found = await tpm.describeKey({ object, name: null, parentName: null, auth: null, pcrs: [] })
    if (found.point === null) throw new AppError("TPM_UNSUITABLE", `${toHandle(handle)} is no key on P-256`)
    checkUse(found.attributes, wanted.purpose, handle)
    return {
      algorithm: "P-256",
      publicKeyPem: pemOfPoint(found.point),
      recipient: wanted.purpose === "device" ? p256TagRecipient(found.point).text : null,
      location: `TPM, handle ${toHandle(handle)}`,
      unlock: place.auth ? "auth" : "nothing",
      assurance: judge(found, await readFacts(tpm)),
      place: {
        provider: "tpm2",
        tcti: place.tcti,
        object: { ...object, isAdopted: true },
        name: toBase64(found.name),
        parentName: toBase64(found.parentName),
        pcrs: place.pcrs,
        seed: null,
      },
    }
  }

  async remove(key: KeyRecord): Promise<void> {
    const { object } = placeOf(key, "tpm2")
    // A blob is gone with its record; what other software made stays.
    if (object.kind === "blob" || object.isAdopted) return
    await this.use(key, async (tpm, reference) => tpm.removePersistent(reference))
  }

  async sign(key: KeyRecord, message: Uint8Array): Promise<Uint8Array> {
    const digest = createHash("sha256").update(message).digest()
    const { r, s } = await this.use(key, async (tpm, reference) => tpm.sign(reference, digest))
    return toDerSignature(r, s)
  }

  async ecdh(key: KeyRecord, point: Uint8Array): Promise<Uint8Array> {
    return this.use(key, async (tpm, reference) =>
      tpm.ecdh(reference, point.subarray(1, 33), point.subarray(33)),
    )
  }

  async identity(key: KeyRecord) {
    const half: P256Key = {
      publicPoint: pointOfPem(key.publicKeyPem),
      ecdh: async (point) => this.ecdh(key, point),
    }
    const { seed } = placeOf(key, "tpm2")
    if (seed === null) return p256TagIdentity(half)
    const bytes = await this.use(key, async (tpm, reference) =>
      tpm.unseal({ ...reference, object: toBlob(seed), name: fromBase64(seed.name) }),
    )
    try {
      return pqTagIdentity(bytes, half)
    } finally {
      wipe(bytes)
    }
  }

  async assurance(key: KeyRecord) {
    return this.use(key, async (tpm, reference) =>
      judge(await tpm.describeKey({ ...reference, auth: null }), await readFacts(tpm)),
    )
  }

  async diagnose() {
    return diagnoseTpm(this.#connections, this.#tcti)
  }

  async close(): Promise<void> {
    this.#auths.clear()
    await this.#connections.close()
  }

  /** Runs commands with a key; its authorisation value is asked for once and forgotten when it turns out wrong. */
  async use<T>(key: KeyRecord, action: (tpm: Tpm, reference: TpmKey) => Promise<T>): Promise<T> {
    const place = placeOf(key, "tpm2")
    return this.#connections.use(chooseTcti(this.#tcti, place.tcti), async (tpm) => {
      const auth = key.unlock === "auth" ? await this.#askAuth(tpm, key) : null
      try {
        return await action(tpm, toReference(place, auth))
      } catch (error) {
        if (error instanceof AppError && error.code === "TPM_AUTH_WRONG") this.#auths.forget(key.fingerprint)
        throw error
      } finally {
        wipe(auth)
      }
    })
  }

  /** Runs commands that need no key. */
  async useTpm<T>(tcti: string | null, action: (tpm: Tpm) => Promise<T>): Promise<T> {
    return this.#connections.use(chooseTcti(this.#tcti, tcti), action)
  }

  async #askAuth(tpm: Tpm, key: KeyRecord): Promise<Uint8Array> {
    const held = this.#auths.copy(key.fingerprint)
    if (held !== null) return held
    const { isLockedOut, wrongTries, allowedTries } = await readFacts(tpm)
    if (isLockedOut)
      throw new AppError("TPM_LOCKED", "the TPM is locked after too many wrong authorisation values")
    const left = allowedTries - wrongTries
    const notice =
      wrongTries === 0 ? null : `${left} ${left === 1 ? "try" : "tries"} left before the TPM locks`
    const auth = await this.#prompter.ask({ kind: "auth", subject: `key ${key.name}`, notice, isNew: false })
    this.#auths.hold(key.fingerprint, auth)
    return auth
  }
}

function toReference(place: Place, auth: Uint8Array | null): TpmKey {
  return {
    object: place.object.kind === "blob" ? toBlob(place.object) : place.object,
    name: fromBase64(place.name),
    parentName: fromBase64(place.parentName),
    auth,
    pcrs: place.pcrs,
  }
}

function toBlob(blob: { readonly public: string; readonly private: string }) {
  return { kind: "blob", public: fromBase64(blob.public), private: fromBase64(blob.private) } as const
}

function fromBase64(text: string): Uint8Array {
  const bytes = parseBase64(text)
  if (bytes === null) throw new AppError("KEY_UNREADABLE", "the record of a TPM key is damaged")
  return bytes
}

/** Throws TPM_UNSUITABLE for a key that cannot do what it is wanted for. */
function checkUse(attributes: number, purpose: Key["purpose"], handle: number): void {
  const isRestricted = has(attributes, ATTRIBUTE.restricted)
  const can = has(attributes, purpose === "device" ? ATTRIBUTE.decrypt : ATTRIBUTE.sign)
  if (!can || isRestricted !== (purpose === "attestation"))
    throw new AppError("TPM_UNSUITABLE", `${toHandle(handle)} cannot be used as ${purpose} key`)
}

async function freeHandle(tpm: Tpm): Promise<number> {
  const taken = new Set(await tpm.handles(0x8100_0000))
  let handle = FIRST_HANDLE
  while (taken.has(handle)) handle += 1
  return handle
}

function toHandle(handle: number): string {
  return `0x${handle.toString(16)}`
}
