/** Which key signs, and signing statements with it. */
import { AppError } from "../contract/errors.ts"
import type { Key } from "../contract/schema/keys.ts"
import type { Signer } from "../core/attest/dsse.ts"
import type { Ports } from "./ports.ts"
import type { KeyStore } from "./ports/keys.ts"

export interface ChosenKey {
  readonly key: Key
  readonly signer: Signer
  /** Whether it was made just now because the workspace had none. */
  readonly created: boolean
}

/** Name of the signing key a workspace gets when somebody protects before making one. */
const FIRST_KEY = "default"

/**
 * The key by name; without a name the only signing key there is, or a new one in a workspace that has none. Throws
 * KEY_NOT_FOUND, KEY_PURPOSE, and USAGE when there is a choice to make.
 */
export async function chooseSigningKey(ports: Ports, name: string | null): Promise<ChosenKey> {
  if (name !== null) return chosen(ports.keys, await ports.keys.find(name, "signing"), false)
  const keys = (await ports.keys.list()).filter((key) => key.purpose === "signing")
  const [only, ...others] = keys
  if (only === undefined) return chosen(ports.keys, await createSoftwareKey(ports, FIRST_KEY), true)
  if (others.length > 0) {
    throw new AppError(
      "USAGE",
      `there are ${keys.length} signing keys: name one (${keys.map((key) => key.name).join(", ")})`,
    )
  }
  return chosen(ports.keys, only, false)
}

/** A P-256 signing key in a file: what a workspace gets when nobody chose a place. */
export async function createSoftwareKey(ports: Ports, name: string): Promise<Key> {
  return ports.keys.create({
    name,
    purpose: "signing",
    algorithm: "P-256",
    place: { provider: "software", passphrase: false },
  })
}

function chosen(keys: KeyStore, key: Key, created: boolean): ChosenKey {
  const { publicKeyPem } = key
  if (publicKeyPem === null)
    throw new AppError("KEY_PURPOSE", `key ${key.name} has no public key to verify with`)
  return {
    key,
    created,
    signer: { publicKeyPem: () => publicKeyPem, sign: async (message) => keys.sign(key, message) },
  }
}
