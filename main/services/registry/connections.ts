/** Registries a workspace works with, as people added them. Logins are not here: they stay where other registry tools look. */
import { z } from "zod"
import type { FileRef } from "../../contract/schema/base.ts"
import { connectionSchema, type Connection, type RegistryHost } from "../../contract/schema/registry.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { readAll } from "../../core/bytes/source.ts"
import { parseReference } from "../../core/oci/reference.ts"
import { readJson } from "../../core/policy/release.ts"
import { AppError } from "../../contract/errors.ts"
import type { Ports } from "../ports.ts"
import { authorityDocument } from "../ports/registry.ts"

const MAX_AUTHORITY_BYTES = 1 << 20
const DOCUMENT = "registries.json"
const recordSchema = z.strictObject({ connections: z.array(connectionSchema) })

export async function listConnections({ documents }: Ports): Promise<Connection[]> {
  const bytes = await documents.read(DOCUMENT)
  return bytes === null ? [] : readJson(recordSchema, bytes, "the list of registries").connections
}

/** One entry a host: adding it again replaces it. Throws REGISTRY_REFERENCE_INVALID, CERTIFICATE_MALFORMED. */
export async function addConnection(
  ports: Ports,
  { host, plainHttp, authority }: RegistryHost,
): Promise<Connection> {
  parseReference(`${host}/x`)
  const connection = { host, plainHttp, hasAuthority: authority !== null }
  const certificates = authority === null ? null : await readAuthority(ports, authority)
  const others = (await listConnections(ports)).filter((each) => each.host !== host)
  // Whatever this is interrupted by, nothing is trusted that the list does not show.
  await ports.documents.remove(authorityDocument(host))
  await keep(ports, [...others, connection])
  if (certificates !== null) await ports.documents.write(authorityDocument(host), certificates)
  ports.registries.forget(host)
  return connection
}

/** Throws REGISTRY_NOT_FOUND. */
export async function removeConnection(ports: Ports, host: string): Promise<Connection> {
  const all = await listConnections(ports)
  const found = all.find((each) => each.host === host)
  if (found === undefined)
    throw new AppError("REGISTRY_NOT_FOUND", `${host} is not among the registries of this workspace`)
  await ports.documents.remove(authorityDocument(host))
  await keep(
    ports,
    all.filter((each) => each !== found),
  )
  ports.registries.forget(host)
  return found
}

/** The certificates of the file, PEM, once it is known to hold some and nothing else. */
async function readAuthority(ports: Ports, ref: FileRef): Promise<Uint8Array> {
  const { readCertificateFile } = await import("../../core/attest/certificate-files.ts")
  const file = await ports.files.open(ref)
  try {
    const tooLarge = () => new AppError("CERTIFICATE_MALFORMED", `${file.name} is too large`)
    const bytes = await readAll(file, MAX_AUTHORITY_BYTES, tooLarge)
    const { certificates } = readCertificateFile(bytes)
    if (certificates.length === 0)
      throw new AppError("CERTIFICATE_MALFORMED", `${file.name} holds no certificate`)
    return toUtf8(certificates.map(({ x509 }) => x509.toString()).join(""))
  } finally {
    await file.close()
  }
}

async function keep({ documents }: Ports, connections: readonly Connection[]): Promise<void> {
  await documents.write(DOCUMENT, toUtf8(JSON.stringify({ connections })))
}
