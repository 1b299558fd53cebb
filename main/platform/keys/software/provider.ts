/** Keys in files of the workspace: the fallback where no hardware is at hand, and always reported as such. */
import path from "node:path"
import { AppError } from "../../../contract/errors.ts"
import type { Key } from "../../../contract/schema/keys.ts"
import type { Random } from "../../../core/age/recipient.ts"
import { wipe } from "../../../core/bytes/bytes.ts"
import type { KeyAssurance, NewKey } from "../../../services/ports/keys.ts"
import type { Prompter } from "../../../services/ports/prompter.ts"
import { readIfThere, removeFile, writePrivate } from "../../workspace/records.ts"
import { placeOf, type KeyProvider, type MadeKey } from "../provider.ts"
import { fingerprintOf } from "../public-key.ts"
import type { KeyRecord, PlaceRecord } from "../record.ts"
import { ecdhWith, identityOf, makeMaterial, materialOf, signWith, type Material } from "./material.ts"
import { MODERATE, openSealed, parseSealed, sealSecret, type PassphraseCost } from "./passphrase.ts"
import { SecretMemory } from "../secret-memory.ts"

const ASSURANCE: KeyAssurance = {
  level: "software",
  evidence: ["the private key is a file: whoever reads it has it"],
}
const SEALED_ASSURANCE: KeyAssurance = {
  level: "software",
  evidence: ["the private key is a file under a passphrase: whoever reads the file and knows it has the key"],
}

/** `folder`: the workspace's `keys`. `cost` is that of new passphrases. */
export function softwareProvider(
  folder: string,
  random: Random,
  prompter: Prompter,
  cost: PassphraseCost = MODERATE,
): KeyProvider {
  const unlocked = new SecretMemory()
  const fileOf = (key: Pick<Key, "name" | "purpose" | "algorithm">, sealing: Sealing) => {
    const suffix = sealing === "argon2id" ? ".sealed" : key.algorithm === "X25519" ? ".txt" : ".pem"
    return path.join(folder, key.purpose, `${key.name}${suffix}`)
  }

  const readSecret = async (key: KeyRecord): Promise<Uint8Array> => {
    const { sealing } = placeOf(key, "software")
    const held = unlocked.copy(key.fingerprint)
    if (held !== null) return held
    const file = await readIfThere(fileOf(key, sealing))
    if (file === null) throw new AppError("KEY_UNREADABLE", `the private part of key ${key.name} is missing`)
    if (sealing === "plain") return file
    const sealed = parseSealed(file)
    const passphrase = await prompter.ask({
      kind: "passphrase",
      subject: `key ${key.name}`,
      notice: null,
      isNew: false,
    })
    try {
      const secret = await openSealed(sealed, passphrase, key.fingerprint)
      // Asked for once: a batch of a hundred packages is one decision of the key's owner.
      unlocked.hold(key.fingerprint, secret)
      return secret
    } finally {
      wipe(passphrase)
    }
  }
  const withSecret = async <T>(key: KeyRecord, use: (secret: Uint8Array) => T | Promise<T>): Promise<T> => {
    const secret = await readSecret(key)
    try {
      return await use(secret)
    } finally {
      wipe(secret)
    }
  }

  const keep = async (wanted: NewKey, material: Material): Promise<MadeKey> => {
    const isSealed = wanted.place.provider === "software" && wanted.place.passphrase
    const passphrase = isSealed
      ? await prompter.ask({
          kind: "passphrase",
          subject: `new key ${wanted.name}`,
          notice: null,
          isNew: true,
        })
      : null
    try {
      const sealing: Sealing = passphrase === null ? "plain" : "argon2id"
      const text =
        passphrase === null
          ? Buffer.from(material.secret).toString("latin1")
          : await sealSecret(material.secret, passphrase, fingerprintOf(material.public), random, cost)
      await writePrivate(
        fileOf(wanted, sealing),
        text,
        new AppError("KEY_EXISTS", `key ${wanted.name} exists already`),
      )
      return {
        ...material.public,
        place: { provider: "software", sealing },
        location: isSealed ? "a sealed file of this workspace" : "a file of this workspace",
        unlock: isSealed ? "passphrase" : "nothing",
        assurance: isSealed ? SEALED_ASSURANCE : ASSURANCE,
      }
    } finally {
      wipe(material.secret, passphrase)
    }
  }

  return {
    name: "software",
    create: async (wanted) => keep(wanted, makeMaterial(wanted, random)),
    keep: async (wanted, key) => keep(wanted, materialOf(key)),
    async remove(key) {
      await removeFile(fileOf(key, placeOf(key, "software").sealing))
    },
    sign: async (key, message) => withSecret(key, (secret) => signWith(secret, message)),
    ecdh: async (key, point) => withSecret(key, async (secret) => ecdhWith(secret, point)),
    identity: async (key) => withSecret(key, (secret) => identityOf(key.algorithm, secret)),
    assurance: async (key) => (placeOf(key, "software").sealing === "plain" ? ASSURANCE : SEALED_ASSURANCE),
    diagnose: async () => [
      {
        id: "keys-software",
        title: "Keys in files",
        result: "ok",
        detail: "work everywhere; level software",
        fix: "",
      },
    ],
    close: async () => unlocked.clear(),
  }
}

type Sealing = Extract<PlaceRecord, { readonly provider: "software" }>["sealing"]
