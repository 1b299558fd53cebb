/** What the engine asks of the process that has a PKCS#11 module loaded, and how that process answers. */
import type { ErrorCode } from "../../../contract/errors.ts"
import type { KeyTarget, TokenTarget } from "./uri.ts"

export interface TokenFacts {
  readonly label: string
  readonly manufacturer: string
  readonly model: string
  readonly serial: string
  /** CKF_HW_SLOT: the module says that this is a device and not a program. */
  readonly isHardware: boolean
  readonly needsLogin: boolean
  readonly isLoggedIn: boolean
  /** The token has a key pad of its own: no PIN passes through this computer. */
  readonly hasPinPad: boolean
  readonly pin: "fresh" | "count-low" | "final-try" | "locked"
}

export interface PublicFacts {
  readonly label: string
  readonly id: Uint8Array
  /** Uncompressed P-256 point (65 bytes), or modulus and exponent. */
  readonly key:
    | { readonly kind: "p-256"; readonly point: Uint8Array }
    | { readonly kind: "rsa"; readonly modulus: Uint8Array; readonly exponent: Uint8Array }
}

export interface PrivateFacts {
  readonly isLocal: boolean
  readonly isSensitive: boolean
  readonly isNeverExtractable: boolean
}

export type Purpose = "signing" | "device"

export interface Commands {
  tokens: { readonly input: { readonly module: string }; readonly output: readonly TokenFacts[] }
  token: { readonly input: { readonly target: TokenTarget }; readonly output: TokenFacts }
  /** A key to seal one PIN to (sealed-message.ts). */
  pinKey: { readonly input: null; readonly output: Uint8Array }
  login: {
    /** `pin`: sealed to the last `pinKey`; null where the token asks for it itself. */
    readonly input: { readonly target: TokenTarget; readonly pin: Uint8Array | null }
    readonly output: null
  }
  generate: {
    readonly input: {
      readonly target: TokenTarget
      readonly purpose: Purpose
      readonly label: string
      readonly id: Uint8Array
    }
    readonly output: PublicFacts
  }
  find: { readonly input: { readonly target: KeyTarget }; readonly output: PublicFacts }
  describe: { readonly input: { readonly target: KeyTarget }; readonly output: PrivateFacts }
  /** The x-coordinate of the shared point (32 bytes), sealed to `sealTo`. */
  derive: {
    readonly input: { readonly target: KeyTarget; readonly point: Uint8Array; readonly sealTo: Uint8Array }
    readonly output: Uint8Array
  }
  /** r ‖ s (64 bytes) of a P-256 key, or an RSA-PSS signature. */
  sign: {
    readonly input: {
      readonly target: KeyTarget
      readonly digest: Uint8Array
      readonly kind: "ecdsa" | "rsa-pss"
    }
    readonly output: Uint8Array
  }
  destroy: { readonly input: { readonly target: KeyTarget }; readonly output: null }
}

export type CommandName = keyof Commands

export type Question = {
  readonly [Name in CommandName]: {
    readonly id: number
    readonly command: Name
    readonly input: Commands[Name]["input"]
  }
}[CommandName]

export type Answer =
  | { readonly id: number; readonly kind: "done"; readonly output: unknown }
  | { readonly id: number; readonly kind: "failed"; readonly code: ErrorCode; readonly message: string }
