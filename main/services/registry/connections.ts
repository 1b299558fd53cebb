/** Registries a workspace works with, as people added them. Logins are not here: they stay where other registry tools look. */
import { z } from "zod"
import { connectionSchema, type Connection } from "../../contract/schema/registry.ts"
import { toUtf8 } from "../../core/bytes/bytes.ts"
import { parseReference } from "../../core/oci/reference.ts"
import { readJson } from "../../core/policy/release.ts"
import { AppError } from "../../contract/errors.ts"
import type { Ports } from "../ports.ts"

const DOCUMENT = "registries.json"
const recordSchema = z.strictObject({ connections: z.array(connectionSchema) })

export async function listConnections({ documents }: Ports): Promise<Connection[]> {
  const bytes = await documents.read(DOCUMENT)
  return bytes === null ? [] : readJson(recordSchema, bytes, "the list of registries").connections
}

/** One entry a host: adding it again replaces it. Throws REGISTRY_REFERENCE_INVALID. */
export async function addConnection(ports: Ports, connection: Connection): Promise<Connection> {
  parseReference(`${connection.host}/x`)
  const others = (await listConnections(ports)).filter(({ host }) => host !== connection.host)
  await keep(ports, [...others, connection])
  return connection
}

/** Throws REGISTRY_NOT_FOUND. */
export async function removeConnection(ports: Ports, host: string): Promise<Connection> {
  const all = await listConnections(ports)
  const found = all.find((each) => each.host === host)
  if (found === undefined)
    throw new AppError("REGISTRY_NOT_FOUND", `${host} is not among the registries of this workspace`)
  await keep(
    ports,
    all.filter((each) => each !== found),
  )
  return found
}

async function keep({ documents }: Ports, connections: readonly Connection[]): Promise<void> {
  await documents.write(DOCUMENT, toUtf8(JSON.stringify({ connections })))
}
