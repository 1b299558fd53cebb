/** The workspace's own certificate authority: a signing key of the workspace and its self-signed certificate. */
import { issueAuthority, type Authority } from "../../core/attest/issue-certificate.ts"
import { issueRevocationList } from "../../core/attest/revocation-list.ts"
import { AppError } from "../../contract/errors.ts"
import type { RevocationIssued, RevocationRequest } from "../../contract/schema/enrolment.ts"
import { toHex, toUtf8 } from "../../core/bytes/bytes.ts"
import type { Ports } from "../ports.ts"
import { writeSmallFile } from "../small-file.ts"

/** Name of its key, of purpose `authority`, so that it is never taken for a release key. */
const KEY = "workspace-authority"
const YEARS = 20
const SERIAL_BYTES = 16

/** Made with the first enrolment. */
export async function openAuthority(ports: Ports): Promise<Authority> {
  const existing = await ports.enrolments.authority()
  if (existing !== null) return { certificate: existing.certificate, signer: await signerOf(ports) }
  const keys = await ports.keys.list()
  if (!keys.some(({ name, purpose }) => name === KEY && purpose === "authority")) {
    const place = { provider: "software", passphrase: false } as const
    await ports.keys.create({ name: KEY, purpose: "authority", algorithm: "P-256", place })
  }
  const signer = await signerOf(ports)
  const notBefore = ports.now()
  const validity = { notBefore, notAfter: yearsAfter(notBefore, YEARS) }
  const certificate = await issueAuthority(
    "Sealwright workspace authority",
    newSerial(ports),
    validity,
    signer,
  )
  await ports.enrolments.saveAuthority({ certificate, listNumber: 0 })
  return { certificate, signer }
}

/** Withdraws the devices' certificates and writes the list of all withdrawn so far, PEM as OpenSSL reads it. */
export async function issueRevocations(ports: Ports, request: RevocationRequest): Promise<RevocationIssued> {
  const record = await ports.enrolments.authority()
  if (record === null) throw new AppError("DEVICE_NOT_FOUND", "no device was ever enrolled in this workspace")
  const now = ports.now()
  const issued = await ports.enrolments.listIssued()
  for (const name of request.devices) {
    const found = issued.find(({ device }) => device === name)
    if (found === undefined)
      throw new AppError("DEVICE_NOT_FOUND", `${name} was not enrolled in this workspace`)
    if (found.revokedAt === null)
      await ports.enrolments.saveIssued({ ...found, revokedAt: now.toISOString() })
  }
  const revoked = (await ports.enrolments.listIssued()).flatMap(({ serials, revokedAt }) =>
    revokedAt === null ? [] : serials.map((serial) => ({ serial, at: new Date(revokedAt) })),
  )
  const number = record.listNumber + 1
  const nextUpdate = new Date(now.getTime() + request.validDays * DAY_MS)
  const authority = { certificate: record.certificate, signer: await signerOf(ports) }
  const list = await issueRevocationList(authority, revoked, number, { thisUpdate: now, nextUpdate })
  await ports.enrolments.saveAuthority({ ...record, listNumber: number })
  const base64 = Buffer.from(list)
    .toString("base64")
    .replaceAll(/(.{64})(?=.)/g, "$1\n")
  const pem = `-----BEGIN X509 CRL-----\n${base64}\n-----END X509 CRL-----\n`
  const file = await writeSmallFile(ports, request.output, toUtf8(pem))
  return { number, serials: revoked.map(({ serial }) => serial), nextUpdate: nextUpdate.toISOString(), file }
}

/** 127 random bits, positive and never short. */
export function newSerial(ports: Ports): string {
  const bytes = ports.random(SERIAL_BYTES)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return toHex(bytes)
}

export function yearsAfter(date: Date, years: number): Date {
  const after = new Date(date)
  after.setUTCFullYear(after.getUTCFullYear() + years)
  return after
}

const DAY_MS = 86_400_000

async function signerOf(ports: Ports): Promise<Authority["signer"]> {
  const key = await ports.keys.find(KEY, "authority")
  return {
    publicKeyPem: () => key.publicKeyPem ?? "",
    sign: async (message) => ports.keys.sign(key, message),
  }
}
