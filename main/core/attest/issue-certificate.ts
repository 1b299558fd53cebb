/** Certificates of a workspace's own authority: for itself and for the two keys of a device (IEEE 802.1AR, LDevID). */
import "reflect-metadata"
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509"
import { createPublicKey } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { isEqual } from "../bytes/bytes.ts"
import type { Signer } from "./dsse.ts"
import { externalKey, SIGNING_ALGORITHM } from "./external-key.ts"

/** Who issues: a key, and the certificate that says so. */
export interface Authority {
  readonly certificate: Uint8Array
  readonly signer: Signer
}

export interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

export interface DeviceCertificateFields {
  /** The device's name at this desk: commonName. */
  readonly device: string
  /** Identifies the hardware, or the key where there is none: serialNumber of the name (802.1AR, 8.6). */
  readonly hardwareId: string
  readonly usage: "signing" | "decryption"
  /** SPKI in PEM. */
  readonly publicKeyPem: string
  /** 1 to 20 octets in hex, the first below 0x80. */
  readonly serial: string
  readonly validity: Validity
}

/** A self-signed authority that may issue leaves only. DER. */
export async function issueAuthority(
  commonName: string,
  serial: string,
  validity: Validity,
  signer: Signer,
): Promise<Uint8Array> {
  const key = await externalKey(signer)
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: serial,
      ...validity,
      subject: named(commonName),
      issuer: named(commonName),
      publicKey: key.spki,
      signingKey: key.keys.privateKey,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(key.keys.publicKey),
      ],
    },
    key.crypto,
  )
  return new Uint8Array(certificate.rawData)
}

/** A certificate for one key of a device. DER. Throws KEY_PURPOSE when the authority's key is not P-256. */
export async function issueDeviceCertificate(
  { certificate, signer }: Authority,
  fields: DeviceCertificateFields,
): Promise<Uint8Array> {
  const key = await externalKey(signer)
  const issuer = new X509Certificate(Uint8Array.from(certificate))
  if (!isEqual(new Uint8Array(issuer.publicKey.rawData), key.spki))
    throw new AppError("KEY_PURPOSE", "the authority's certificate belongs to another key")
  const usage = fields.usage === "signing" ? KeyUsageFlags.digitalSignature : KeyUsageFlags.keyAgreement
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(usage, true),
    await AuthorityKeyIdentifierExtension.create(key.keys.publicKey),
  ]
  const made = await X509CertificateGenerator.create(
    {
      serialNumber: fields.serial,
      ...fields.validity,
      subject: [...named(fields.device), { [SERIAL_NUMBER]: [fields.hardwareId] }],
      issuer: issuer.subjectName,
      publicKey: Uint8Array.from(
        createPublicKey(fields.publicKeyPem).export({ type: "spki", format: "der" }),
      ),
      signingKey: key.keys.privateKey,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions,
    },
    key.crypto,
  )
  return new Uint8Array(made.rawData)
}

/** id-at-serialNumber of X.520. */
const SERIAL_NUMBER = "2.5.4.5"

function named(commonName: string): JsonName {
  return [{ CN: [commonName] }]
}
