import { writeFileSync } from "node:fs"
import path from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { localPorts } from "../../../main/platform/ports.ts"
import { authorityDocument } from "../../../main/services/ports/registry.ts"
import {
  addConnection,
  listConnections,
  removeConnection,
} from "../../../main/services/registry/connections.ts"
import type { Ports } from "../../../main/services/ports.ts"
import { CA, issue } from "../../support/certificates.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const HOST = "registry.example"

test("whatever interrupts a change of connections, no authority is trusted that the list does not show", async () => {
  const folder = temporaryFolder()
  const { ports, close } = localPorts(path.join(folder, "workspace"))
  onTestFinished(close)
  const pem = path.join(folder, "authority.pem")
  writeFileSync(pem, issue({ name: "registry", extensions: CA }).pem)
  const authority = ports.files.refer(pem)
  const wanted = { host: HOST, plainHttp: false, authority }
  const kept = async () => (await ports.documents.read(authorityDocument(HOST))) !== null
  const fails = async () => {
    throw new Error("interrupted")
  }
  const full: Ports = { ...ports, documents: { ...ports.documents, write: fails } }

  await expect(addConnection(full, wanted)).rejects.toThrow("interrupted")
  expect([await kept(), await listConnections(ports)]).toEqual([false, []])

  expect(await addConnection(ports, wanted)).toMatchObject({ hasAuthority: true })
  expect(await kept()).toBe(true)
  await expect(removeConnection(full, HOST)).rejects.toThrow("interrupted")
  expect(await kept()).toBe(false)
  expect(await removeConnection(ports, HOST)).toMatchObject({ host: HOST })
  expect([await kept(), await listConnections(ports)]).toEqual([false, []])
})
