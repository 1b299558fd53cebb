import type { TpmAttestation } from "../../../../native/lib/tpm.ts"
import { AppError } from "../../../contract/errors.ts"
import type { Key } from "../../../contract/schema/keys.ts"
import type { Attestor, HardwareCounters, SignedAttestation } from "../../../services/ports/attestor.ts"
import type { KeyRecord } from "../record.ts"
import type { Tpm2Provider } from "./provider.ts"

/** `recordOf` finds the record behind a key. */
export function tpmAttestor(provider: Tpm2Provider, recordOf: (key: Key) => Promise<KeyRecord>): Attestor {
  const record = async (key: Key, purpose?: Key["purpose"]): Promise<KeyRecord> => {
    if (key.provider !== "tpm2" || (purpose !== undefined && key.purpose !== purpose))
      throw new AppError(
        "KEY_PURPOSE",
        `key ${key.name} is no ${purpose ?? ""} key in a TPM`.replace("  ", " "),
      )
    return recordOf(key)
  }
  return {
    endorsement: async (kind, beside) =>
      provider.use(await record(beside), async (tpm) => {
        const { public: area, certificate } = await tpm.endorsement(kind)
        return { publicArea: unsized(area), certificate }
      }),
    publicArea: async (key) =>
      provider.use(await record(key), async (tpm, reference) => {
        const { public: area } = await tpm.describeKey(reference)
        return unsized(area)
      }),
    activate: async (kind, by, { blob, secret }) =>
      provider.use(await record(by, "attestation"), async (tpm, reference) =>
        tpm.activateCredential(kind, reference, { blob: unsized(blob), seed: unsized(secret) }),
      ),
    certify: async (key, by, nonce) => {
      const attestationKey = await record(by, "attestation")
      return provider.use(await record(key), async (_, reference) =>
        provider.use(attestationKey, async (tpm, byReference) =>
          toSigned(await tpm.certify(reference, byReference, nonce)),
        ),
      )
    },
    quote: async (by, pcrs, nonce) =>
      provider.use(await record(by, "attestation"), async (tpm, reference) =>
        toSigned(await tpm.quote(reference, pcrs, nonce)),
      ),
    readPcrs: async (beside, pcrs) => provider.use(await record(beside), async (tpm) => tpm.readPcrs(pcrs)),
  }
}

export function tpmCounters(provider: Tpm2Provider): HardwareCounters {
  return {
    define: async (tcti, index) => provider.useTpm(tcti, async (tpm) => tpm.defineCounter(checked(index))),
    increment: async (tcti, index) =>
      provider.useTpm(tcti, async (tpm) => tpm.incrementCounter(checked(index))),
    read: async (tcti, index) => provider.useTpm(tcti, async (tpm) => tpm.readCounter(checked(index))),
    remove: async (tcti, index) => provider.useTpm(tcti, async (tpm) => tpm.removeCounter(checked(index))),
  }
}

/** The owner's part of the index space (TCG registry of reserved TPM 2.0 handles, 2.3.2). */
function checked(index: number): number {
  if (index < 0x0180_0000 || index > 0x01bf_ffff)
    throw new AppError("USAGE", "a counter's index is from 0x01800000 to 0x01bfffff")
  return index
}

const ALG_ECDSA = 0x0018
const ALG_SHA256 = 0x000b

function toSigned({ attested, r, s }: TpmAttestation): SignedAttestation {
  return {
    attestation: attested,
    signature: Buffer.concat([u16(ALG_ECDSA), u16(ALG_SHA256), u16(r.length), r, u16(s.length), s]),
  }
}

/** The content of a TPM2B. */
function unsized(bytes: Uint8Array): Uint8Array {
  const content = bytes.subarray(2)
  if (bytes.length < 2 || new DataView(bytes.buffer, bytes.byteOffset).getUint16(0) !== content.length)
    throw new AppError("KEY_UNREADABLE", "a structure of a TPM has another size than it says")
  return content
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff)
}
