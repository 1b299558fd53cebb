/**
 * Sigstore bundle v0.3 holding a DSSE envelope: the file in which a signature travels. Reading it decides nothing about
 * trust; what this product does not judge (log entries, timestamps) is checked in shape and carried along.
 */
import { createHash } from "node:crypto"
import { z } from "zod"
import { toBase64, toUtf8 } from "../bytes/bytes.ts"
import { base64Bytes, malformed, readDocument } from "./document.ts"
import type { DsseEnvelope } from "./dsse.ts"

export const BUNDLE_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

/** How the bundle says who signed (Model Signing v1.0, 4.1). A claim until trust material confirms it. */
type SignerClaim =
  /** `publicKey`: the hint of a key, see VerificationKey. */
  | { readonly kind: "key"; readonly hint: string }
  /** `x509CertificateChain`: DER, leaf first, at least one. */
  | { readonly kind: "certificate"; readonly chain: readonly Uint8Array[] }
  /** `certificate`: the short-lived leaf of the sigstore method, DER. It means nothing without its log entries. */
  | { readonly kind: "sigstore"; readonly certificate: Uint8Array }

export interface Bundle {
  readonly signer: SignerClaim
  readonly envelope: DsseEnvelope
  /** Transparency log entries, not judged here. The sigstore method always has one. */
  readonly logEntries: readonly LogEntry[]
  /** RFC 3161 tokens, DER, not judged here. */
  readonly timestamps: readonly Uint8Array[]
}

/**
 * A bundle of the public-key method. `hint` is that of the key that made the envelope's signature. Throws
 * SIGNATURE_MALFORMED for a bundle so large that readBundle would refuse it.
 */
export function toBundleBytes(envelope: DsseEnvelope, hint: string): Uint8Array<ArrayBuffer> {
  const bytes = toUtf8(
    JSON.stringify({
      mediaType: BUNDLE_MEDIA_TYPE,
      verificationMaterial: { publicKey: { hint }, tlogEntries: [] },
      dsseEnvelope: {
        payload: toBase64(envelope.payload),
        payloadType: envelope.payloadType,
        signatures: [{ sig: toBase64(envelope.signature), keyid: "" }],
      },
    }),
  )
  checkSize(bytes)
  return bytes
}

/** Reads a bundle of any of the three methods. Throws SIGNATURE_MALFORMED, also for bundles beyond the limits below. */
export function readBundle(bytes: Uint8Array): Bundle {
  checkSize(bytes)
  const { verificationMaterial, dsseEnvelope } = readDocument(bytes, "the bundle", bundleSchema)
  const bundle: Bundle = {
    signer: toSignerClaim(verificationMaterial),
    envelope: {
      payloadType: dsseEnvelope.payloadType,
      payload: dsseEnvelope.payload,
      signature: dsseEnvelope.signatures[0].sig,
    },
    logEntries: verificationMaterial.tlogEntries,
    timestamps: verificationMaterial.timestampVerificationData.rfc3161Timestamps.map(
      (item) => item.signedTimestamp,
    ),
  }
  if (bundle.signer.kind === "sigstore" && bundle.logEntries.length === 0) {
    throw malformed("the bundle has a sigstore certificate but no log entry")
  }
  return bundle
}

function checkSize(bytes: Uint8Array): void {
  if (bytes.length > MAX_BUNDLE_BYTES) {
    throw malformed(`the bundle is ${bytes.length} bytes, more than ${MAX_BUNDLE_BYTES}`)
  }
}

function toSignerClaim({ publicKey, x509CertificateChain, certificate }: Material): SignerClaim {
  const claims: SignerClaim[] = []
  if (publicKey !== undefined) claims.push({ kind: "key", hint: toHint(publicKey) })
  if (x509CertificateChain !== undefined) {
    claims.push({
      kind: "certificate",
      chain: x509CertificateChain.certificates.map((item) => item.rawBytes),
    })
  }
  if (certificate !== undefined) claims.push({ kind: "sigstore", certificate: certificate.rawBytes })
  const [claim] = claims
  // The three are one protobuf oneof; with two of them, two readers could judge two signers.
  if (claim === undefined || claims.length > 1)
    throw malformed(`the bundle names ${claims.length} signers, not one`)
  return claim
}

/** Bundles before v1.1.0 hold the PEM text itself in `rawBytes`, and its hash is the hint (Model Signing v1.0, 11.2). */
function toHint({ hint, rawBytes }: PublicKey): string {
  if (hint !== undefined && rawBytes === undefined) return hint
  if (rawBytes !== undefined && hint === undefined) return createHash("sha256").update(rawBytes).digest("hex")
  throw malformed("the bundle's public key must have either hint or rawBytes")
}

/** Base64 and JSON around some 100 000 file entries. */
const MAX_BUNDLE_BYTES = 32 * 1024 * 1024
const MAX_CERTIFICATES = 8
const MAX_LOG_ENTRIES = 32
const MAX_TIMESTAMPS = 32
const MAX_TEXT = 65_536

const text = z.string().max(MAX_TEXT)
/** An int64 of protobuf's JSON mapping; writers may leave out a zero. */
const int64 = z.string().regex(/^(?:0|[1-9]\d{0,18})$/, "not a count")
const certificate = z.object({ rawBytes: base64Bytes })

const logEntry = z.object({
  logIndex: int64.default("0"),
  logId: z.object({ keyId: base64Bytes }),
  kindVersion: z.object({ kind: text, version: text }),
  integratedTime: int64.default("0"),
  inclusionPromise: z.object({ signedEntryTimestamp: base64Bytes }).optional(),
  inclusionProof: z.object({
    logIndex: int64.default("0"),
    rootHash: base64Bytes,
    treeSize: int64,
    hashes: z.array(base64Bytes).max(64).default([]),
    checkpoint: z.object({ envelope: text }),
  }),
  canonicalizedBody: base64Bytes,
})

type LogEntry = z.infer<typeof logEntry>

const publicKey = z.object({ hint: z.string().max(256).optional(), rawBytes: base64Bytes.optional() })

type PublicKey = z.infer<typeof publicKey>

const material = z.strictObject({
  publicKey: publicKey.optional(),
  x509CertificateChain: z
    .object({ certificates: z.array(certificate).min(1).max(MAX_CERTIFICATES) })
    .optional(),
  certificate: certificate.optional(),
  tlogEntries: z.array(logEntry).max(MAX_LOG_ENTRIES).default([]),
  timestampVerificationData: z
    .object({
      rfc3161Timestamps: z
        .array(z.object({ signedTimestamp: base64Bytes }))
        .max(MAX_TIMESTAMPS)
        .default([]),
    })
    .default({ rfc3161Timestamps: [] }),
})

type Material = z.infer<typeof material>

const bundleSchema = z.strictObject({
  mediaType: z.literal([BUNDLE_MEDIA_TYPE, "application/vnd.dev.sigstore.bundle+json;version=0.3"]),
  verificationMaterial: material,
  dsseEnvelope: z.strictObject({
    payload: base64Bytes,
    payloadType: z.string().min(1).max(256),
    // Exactly one signature, as Sigstore bundles require; `keyid` may be absent, empty or null and decides nothing.
    signatures: z.tuple([z.strictObject({ sig: base64Bytes, keyid: z.string().max(256).nullish() })]),
  }),
})
