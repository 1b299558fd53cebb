/** Certificates people already have, and requests for new ones. The types follow from the schemas. */
import { z } from "zod"
import { fileRefSchema, nameSchema, outputSchema } from "./base.ts"
import { keySchema } from "./keys.ts"
import { checkSchema } from "./verify.ts"

const certificateSchema = z.strictObject({
  subject: z.string(),
  issuer: z.string(),
  /** Hex. */
  serial: z.string(),
  /** SHA-256 of the DER, hex. */
  fingerprint: z.string(),
  /** As `P-256`, `RSA 3072`. */
  key: z.string(),
  notBefore: z.string(),
  notAfter: z.string(),
  isAuthority: z.boolean(),
  uses: z.array(z.string()),
})
export type CertificateFacts = z.infer<typeof certificateSchema>

const revocationListSchema = z.strictObject({
  issuer: z.string(),
  thisUpdate: z.string(),
  nextUpdate: z.string().nullable(),
  serials: z.array(z.string()),
})

export const showCertificateSchema = z.strictObject({ file: fileRefSchema })
export const shownCertificatesSchema = z.strictObject({
  certificates: z.array(certificateSchema),
  lists: z.array(revocationListSchema),
})
export type ShownCertificates = z.infer<typeof shownCertificatesSchema>

export const verifyCertificateSchema = z.strictObject({
  /** The certificate to judge, then those above it as far as there are any. */
  file: fileRefSchema,
  /** A file or folder of certificates that are trusted. */
  roots: fileRefSchema,
  /** Files with revocation lists; with one, every certificate below a root must be covered. */
  lists: z.array(fileRefSchema).max(64),
  purpose: z.enum(["code-signing", "device-signing", "device-decryption", "endorsement-key"]),
  /** ISO 8601; null is now. */
  at: z.iso.datetime().nullable(),
})
export type VerifyCertificate = z.infer<typeof verifyCertificateSchema>
export const verifiedCertificateSchema = z.strictObject({
  verdict: z.enum(["trusted", "refused"]),
  /** What is wrong: unknown-issuer, expired, not-yet-valid, wrong-usage, not-an-authority, weak, not-understood, revoked, revocation-unknown. */
  problem: z.string().nullable(),
  checks: z.array(checkSchema),
  /** Subjects from the certificate to its root; empty when no root was reached. */
  path: z.array(z.string()),
})
export type VerifiedCertificate = z.infer<typeof verifiedCertificateSchema>

export const requestCertificateSchema = z.strictObject({
  key: nameSchema,
  /** RFC 4514, as `CN=release-1, O=Example`. */
  subject: z.string().min(1).max(1024),
  output: outputSchema,
})
export type RequestCertificate = z.infer<typeof requestCertificateSchema>
export const requestedCertificateSchema = z.strictObject({
  key: z.string(),
  subject: z.string(),
  file: z.string(),
})
export type RequestedCertificate = z.infer<typeof requestedCertificateSchema>

export const attachCertificateSchema = z.strictObject({
  key: nameSchema,
  /** The key's certificate and those above it as far as there are any, in any order. */
  file: fileRefSchema,
  /** A file or folder of certificates that are trusted; null judges as far as the file goes. */
  roots: fileRefSchema.nullable(),
  lists: z.array(fileRefSchema).max(64),
  purpose: z.enum(["code-signing", "device-signing"]),
})
export type AttachCertificate = z.infer<typeof attachCertificateSchema>
export const attachedCertificateSchema = z.strictObject({
  key: z.string(),
  /** The key's own first. */
  certificates: z.array(certificateSchema),
  /** Whether roots were given to end at. */
  endsAtRoot: z.boolean(),
  /** Kept only when the verdict is `trusted`. */
  judged: verifiedCertificateSchema,
})
export type AttachedCertificate = z.infer<typeof attachedCertificateSchema>

/** A key with the certificates that were attached to it, its own first. */
export const shownKeySchema = keySchema.extend({ certificates: z.array(certificateSchema) })
export type ShownKey = z.infer<typeof shownKeySchema>

export const importKeySchema = z.strictObject({
  name: nameSchema,
  file: fileRefSchema,
  /** Whether the stored key gets a passphrase of its own. */
  passphrase: z.boolean(),
  /** Where the certificates of the file go (PEM, the key's own first); null leaves them. */
  chain: outputSchema.nullable(),
})
export type ImportKey = z.infer<typeof importKeySchema>
export const importedKeySchema = z.strictObject({
  key: keySchema,
  certificates: z.array(certificateSchema),
})
