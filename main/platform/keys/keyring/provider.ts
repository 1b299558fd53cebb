/** Keys in the secret store of the operating system: unlocked with the user's login, and still software. */
import { AppError, toAppError } from "../../../contract/errors.ts"
import type { DoctorCheck } from "../../../contract/schema/doctor.ts"
import type { Random } from "../../../core/age/recipient.ts"
import { toHex, wipe } from "../../../core/bytes/bytes.ts"
import type { KeyAssurance } from "../../../services/ports/keys.ts"
import { placeOf, type KeyProvider } from "../provider.ts"
import type { KeyRecord } from "../record.ts"
import { SecretMemory } from "../secret-memory.ts"
import { ecdhWith, identityOf, makeMaterial, signWith } from "../software/material.ts"
import { systemSecretStore, type SecretStore } from "./secret-store.ts"

const ASSURANCE: KeyAssurance = {
  level: "software",
  evidence: ["the private key is in this user's secret store: programs of the same user can ask for it"],
}

/** Bytes of an entry's name: two workspaces may give their keys the same name. */
const ENTRY_BYTES = 16

export function keyringProvider(random: Random, store: SecretStore = systemSecretStore()): KeyProvider {
  const unlocked = new SecretMemory()

  const withSecret = async <T>(key: KeyRecord, use: (secret: Uint8Array) => T | Promise<T>): Promise<T> => {
    const secret = unlocked.copy(key.fingerprint) ?? (await read(key))
    try {
      return await use(secret)
    } finally {
      wipe(secret)
    }
  }
  const read = async (key: KeyRecord): Promise<Uint8Array> => {
    const secret = await store.read(placeOf(key, "keyring").entry)
    if (secret === null)
      throw new AppError("KEY_UNREADABLE", `the secret store does not hold key ${key.name}`)
    // Asked for once a process, so that a batch does not fill memory with what the library hands out.
    unlocked.hold(key.fingerprint, secret)
    return secret
  }

  return {
    name: "keyring",
    async create(wanted) {
      const material = makeMaterial(wanted, random)
      try {
        const entry = toHex(random(ENTRY_BYTES))
        await store.write(entry, material.secret)
        return {
          ...material.public,
          place: { provider: "keyring", entry },
          location: `secret store of the operating system, entry ${entry}`,
          unlock: "nothing",
          assurance: ASSURANCE,
        }
      } finally {
        wipe(material.secret)
      }
    },
    async remove(key) {
      unlocked.forget(key.fingerprint)
      await store.remove(placeOf(key, "keyring").entry)
    },
    sign: async (key, message) => withSecret(key, (secret) => signWith(secret, message)),
    ecdh: async (key, point) => withSecret(key, async (secret) => ecdhWith(secret, point)),
    identity: async (key) => withSecret(key, (secret) => identityOf(key.algorithm, secret)),
    assurance: async () => ASSURANCE,
    diagnose: async () => [await diagnose(store)],
    close: async () => unlocked.clear(),
  }
}

/** Asks for an entry nobody has, which unlocks nothing and so asks nobody. */
async function diagnose(store: SecretStore): Promise<DoctorCheck> {
  const check = { id: "keys-keyring", title: "Keys in the secret store of the operating system" }
  try {
    await store.read("doctor")
    return { ...check, result: "ok", detail: "answers; level software", fix: "" }
  } catch (error) {
    const { message, hint } = toAppError(error)
    return { ...check, result: "limited", detail: message, fix: hint }
  }
}
