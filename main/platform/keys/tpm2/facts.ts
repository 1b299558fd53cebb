/** What a TPM says about itself and its keys, in words. */
import type { Tpm, TpmKeyFacts } from "../../../../native/lib/tpm.ts"
import type { KeyAssurance } from "../../../services/ports/keys.ts"

/** TPMA_OBJECT bits (TPM 2.0 part 2, 8.3). */
export const ATTRIBUTE = {
  fixedTpm: 1 << 1,
  fixedParent: 1 << 4,
  sensitiveDataOrigin: 1 << 5,
  userWithAuth: 1 << 6,
  restricted: 1 << 16,
  decrypt: 1 << 17,
  sign: 1 << 18,
} as const

/** TPM2_PT property tags (part 2, 6.13). */
const PROPERTY = {
  manufacturer: 0x105,
  vendorString: 0x106,
  firmware1: 0x10b,
  firmware2: 0x10c,
  permanent: 0x200,
  lockoutCounter: 0x20e,
  maxAuthFail: 0x20f,
  lockoutRecovery: 0x210,
} as const
const PERMANENT_IN_LOCKOUT = 1 << 9

export interface TpmFacts {
  /** Maker, vendor string and firmware, as the TPM spells them. */
  readonly title: string
  readonly isLockedOut: boolean
  /** Wrong authorisations counted, out of how many. */
  readonly wrongTries: number
  readonly allowedTries: number
  /** Seconds until the count goes down by one. */
  readonly recoverySeconds: number
}

export async function readFacts(tpm: Tpm): Promise<TpmFacts> {
  const fixed = await tpm.properties(0x100)
  const variable = await tpm.properties(0x200)
  const text = (property: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(fixed.get(property) ?? 0)
    return bytes.toString("latin1").replaceAll(/[^\x21-\x7e]/g, " ")
  }
  const vendor = [0, 1, 2, 3].map((index) => text(PROPERTY.vendorString + index)).join("")
  const [major = 0, minor = 0] = [PROPERTY.firmware1, PROPERTY.firmware2].map((tag) => fixed.get(tag) ?? 0)
  const name = `${text(PROPERTY.manufacturer)} ${vendor}`.replaceAll(/\s+/g, " ").trim()
  return {
    title: `${name}, firmware ${major.toString(16)}.${minor.toString(16)}`,
    isLockedOut: ((variable.get(PROPERTY.permanent) ?? 0) & PERMANENT_IN_LOCKOUT) !== 0,
    wrongTries: variable.get(PROPERTY.lockoutCounter) ?? 0,
    allowedTries: variable.get(PROPERTY.maxAuthFail) ?? 0,
    recoverySeconds: variable.get(PROPERTY.lockoutRecovery) ?? 0,
  }
}

/** `hardware` for a key that was made in the chip and cannot leave it; that the chip is one is the TPM's claim until enrolment. */
export function judge({ attributes }: TpmKeyFacts, { title }: TpmFacts): KeyAssurance {
  const isMadeHere = has(attributes, ATTRIBUTE.sensitiveDataOrigin)
  const isFixed = has(attributes, ATTRIBUTE.fixedTpm | ATTRIBUTE.fixedParent)
  return {
    level: isMadeHere && isFixed ? "hardware" : "software",
    evidence: [
      `the TPM calls itself ${title}`,
      isMadeHere
        ? "the TPM made the key"
        : "the key was made elsewhere and brought into the TPM: copies may exist",
      isFixed ? "the key cannot leave the TPM" : "the key's owner may move it out of the TPM",
    ],
  }
}

export function has(attributes: number, wanted: number): boolean {
  return (attributes & wanted) === wanted
}
