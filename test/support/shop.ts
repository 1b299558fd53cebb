/** Workspaces of several people and devices in one folder, under one clock that the test moves. */
import { mkdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import { onTestFinished } from "vitest"
import type { HostClient } from "../../main/contract/client.ts"
import { localEngine } from "../../main/contract/server.ts"
import type { RolesRequest, Signer, Trust } from "../../main/contract/schema/trust.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { createEngine } from "../../main/services/engine.ts"
import type { Ports } from "../../main/services/ports.ts"

export interface Place {
  readonly engine: HostClient
  readonly ports: Ports
  readonly workspace: string
}

export class Shop {
  readonly folder: string
  now: Date

  constructor(folder: string, now = "2027-01-04T08:00:00Z") {
    this.folder = folder
    this.now = new Date(now)
  }

  /** A workspace that lives as long as the test. */
  place(name: string): Place {
    const workspace = path.join(this.folder, name)
    mkdirSync(workspace, { recursive: true })
    const { ports: local, close } = localPorts(workspace)
    onTestFinished(close)
    const ports: Ports = { ...local, now: () => this.now }
    return { engine: localEngine(createEngine(ports)), ports, workspace }
  }

  later({ days = 0, minutes = 0 }: { readonly days?: number; readonly minutes?: number }): void {
    this.now = new Date(this.now.getTime() + days * 86_400_000 + minutes * 60_000)
  }

  at(name: string): string {
    return path.join(this.folder, name)
  }
}

export const own = (name: string, person: string | null = null): Signer => ({ kind: "own", name, person })

export const role = (signers: readonly Signer[], threshold: number | null = null) => ({
  signers: [...signers],
  threshold,
  assurance: null,
})

/** The public half of a key of `from`, as a file that `to` can be given. */
export async function publicKeyOf(from: Place, key: string, to: Place): Promise<Signer> {
  const { publicKeyPem } = await from.engine.keys.show({ name: key })
  const file = path.join(to.workspace, `${key}.pem`)
  writeFileSync(file, publicKeyPem ?? "")
  return {
    kind: "file",
    file: await to.engine.files.refer({ path: file }),
    person: key,
    assurance: "software",
  }
}

/** Keys `alice`, `press` and `desk`, and a trust root in which each does what its name says. */
export async function initShop(
  place: Place,
  roles: RolesRequest = {},
  gates: { readonly approvals: number; readonly validation: "all" | "any" | "none" } = {
    approvals: 1,
    validation: "any",
  },
): Promise<Trust> {
  for (const name of ["alice", "press", "desk"]) await place.engine.keys.create({ name, purpose: "signing" })
  return place.engine.trust.init({
    roles: {
      root: role([own("alice")]),
      "release-manager": role([own("alice")]),
      approver: role([own("alice")]),
      packager: role([own("press")]),
      online: role([own("desk")]),
      director: role([own("desk")]),
      ...roles,
    },
    gates,
    offlineDays: 30,
  })
}

export async function outputOf(place: Place, file: string) {
  return { file: await place.engine.files.refer({ path: file }), replace: true }
}
