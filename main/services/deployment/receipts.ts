/** What a device says it did, signed by it: collected here, carried to the desk, checked there. */
import { z } from "zod"
import { AppError, errorCodes, type ErrorCode } from "../../contract/errors.ts"
import type { Device } from "../../contract/schema/keys.ts"
import type { Slot } from "../../contract/schema/deployment.ts"
import { signStatement } from "../../core/attest/attestation.ts"
import { readBundle } from "../../core/attest/bundle.ts"
import { RECEIPT_PCRS, receiptQuestion, receiptQuoteSchema } from "../../core/attest/receipt-quote.ts"
import {
  attestationType,
  readStatement,
  toStatementBytes,
  type JsonObject,
} from "../../core/attest/statement.ts"
import { toBase64, toHex } from "../../core/bytes/bytes.ts"
import { sha256Digest } from "../../core/oci/manifest.ts"
import { MEDIA } from "../../core/oci/media-types.ts"
import { createDeviceId } from "../../core/policy/device-id.ts"
import type { SignRequest } from "../../contract/schema/trust.ts"
import type { Ports } from "../ports.ts"
import { attachBundle } from "../seal-copy.ts"
import { SealWriter } from "../seal-writer.ts"
import { chooseSigningKey } from "../signing.ts"
import { effectiveNow, folderOf, type DeviceState } from "./state.ts"

/** Fields of Uptane's ECU version report, with what a model needs besides. */
export const receiptSchema = z.looseObject({
  deviceId: z.string().regex(/^[0-9a-f]{32}$/),
  release: z.string(),
  releaseCounter: z.number(),
  counter: z.number(),
  packageBytes: z.number(),
  /** Digest of the grant's manifest; absent in the first receipts there were. */
  grant: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .optional(),
  /** `returned`: the device went back from this package before it was committed. */
  result: z.enum(["committed", "failed", "returned"]),
  /** Code of what was found wrong, such as a rollback that was tried. */
  detected: z.enum(errorCodes).nullable(),
  /** Latest time the device can vouch for. */
  time: z.string(),
  floorLevel: z.string(),
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  /** Of a device whose TPM was enrolled. */
  quote: receiptQuoteSchema.optional(),
})

export async function writeReceipt(
  ports: Ports,
  device: Device,
  state: DeviceState,
  slot: Slot,
  result: z.infer<typeof receiptSchema>["result"],
  detected: ErrorCode | null,
): Promise<void> {
  const { signer } = await chooseSigningKey(ports, state.receiptKey)
  const time = effectiveNow(ports, state).toISOString()
  const nonce = toHex(ports.random(16))
  const quote = await quoteOf(ports, device, { package: slot.package, nonce, counter: slot.counter, result })
  const statement = toStatementBytes({
    subjects: [{ name: "", digest: { sha256: slot.package.slice("sha256:".length) } }],
    predicateType: attestationType("receipt"),
    predicate: {
      deviceId: createDeviceId(device.recipient),
      release: slot.release,
      releaseCounter: slot.releaseCounter,
      counter: slot.counter,
      packageBytes: slot.packageBytes,
      ...(slot.grant !== undefined && { grant: slot.grant }),
      result,
      detected,
      time,
      createdAt: time,
      floorLevel: await ports.floors.level(device),
      nonce,
      ...(quote !== null && { quote }),
    },
  })
  const bytes = await signStatement(statement, signer)
  await ports.documents.write(`${folderOf(device)}/receipts/${sha256Digest(bytes).slice(7)}.json`, bytes)
}

/**
 * By the attestation key that `device init` made in the device's TPM; `null` for a device without one. A TPM that cannot answer
 * now leaves the receipt without its word: what was done is done, and the desk sees the difference.
 */
async function quoteOf(
  ports: Ports,
  { name }: Device,
  receipt: Parameters<typeof receiptQuestion>[0],
): Promise<JsonObject | null> {
  const key = (await ports.keys.list()).find((each) => each.purpose === "attestation" && each.name === name)
  if (key?.provider !== "tpm2") return null
  try {
    const { attestation, signature } = await ports.attestor.quote(key, RECEIPT_PCRS, receiptQuestion(receipt))
    return { attestation: toBase64(attestation), signature: toBase64(signature) }
  } catch (error) {
    if (error instanceof AppError && error.code.startsWith("TPM_")) return null
    throw error
  }
}

/** All receipts of a device as a .seal file of statements, for the way back. Returns their number. */
export async function writeReceipts(
  ports: Ports,
  device: Device,
  output: SignRequest["output"],
): Promise<number> {
  const folder = `${folderOf(device)}/receipts`
  const names = await ports.documents.list(folder)
  const file = await ports.files.create(output.file, { replace: output.replace, isSecret: false })
  try {
    const writer = new SealWriter(file)
    for (const name of names) {
      const bytes = await ports.documents.read(`${folder}/${name}`)
      if (bytes === null) continue
      const { subjects, predicate } = readStatement(readBundle(bytes).envelope.payload)
      const { packageBytes, time } = receiptSchema.parse(predicate)
      const digest = `sha256:${subjects[0]?.digest["sha256"] ?? ""}`
      const subject = { mediaType: MEDIA.manifest, digest, size: packageBytes }
      await attachBundle(writer, subject, {
        bytes,
        predicateType: attestationType("receipt"),
        createdAt: time,
      })
    }
    await writer.finish()
    await file.commit()
    return names.length
  } finally {
    await file.discard()
  }
}
