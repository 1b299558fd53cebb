/** The secret store of the operating system: Secret Service, Keychain, Credential Manager. */
import { AppError } from "../../../contract/errors.ts"
import { wipe } from "../../../core/bytes/bytes.ts"

/** Under which all our entries stand. */
const SERVICE = "sealwright"

/** Without this the library would take the kernel's keyring where no secret service answers, which a reboot empties. */
const OPTIONS = { linux: { store: "secret-service" } } as const

export interface SecretStore {
  /** The bytes kept under a name, which the caller wipes, or `null`. Throws KEYRING_ABSENT, KEYRING_LOCKED. */
  read(name: string): Promise<Uint8Array | null>
  /** Throws KEYRING_ABSENT, KEYRING_LOCKED. */
  write(name: string, secret: Uint8Array): Promise<void>
  /** Removing what is not there changes nothing. Throws KEYRING_ABSENT, KEYRING_LOCKED. */
  remove(name: string): Promise<void>
}

export function systemSecretStore(): SecretStore {
  return {
    async read(name) {
      const entry = await open(name)
      const numbers = await answerOf(async () => entry.getSecret())
      if (numbers === null) return null
      const secret = Uint8Array.from(numbers)
      numbers.fill(0)
      return secret
    },
    async write(name, secret) {
      const entry = await open(name)
      const copy = Uint8Array.from(secret)
      try {
        await answerOf(async () => entry.setSecret(copy))
      } finally {
        wipe(copy)
      }
    },
    async remove(name) {
      const entry = await open(name)
      await answerOf(async () => entry.deleteCredential())
    },
  }
}

/** Loaded when it is first needed: its binary is not there for every platform. Connects to the store. */
async function open(name: string) {
  try {
    const { AsyncEntry } = await import("@napi-rs/keyring")
    return new AsyncEntry(SERVICE, name, OPTIONS)
  } catch (error) {
    throw new AppError("KEYRING_ABSENT", "no secret store of the operating system answers", { cause: error })
  }
}

async function answerOf<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    throw new AppError("KEYRING_LOCKED", "the secret store did not give access", { cause: error })
  }
}
