/** A desk in process: an engine with a signing key and a device, and short ways to use it. */
import path from "node:path"
import { afterAll, beforeAll } from "vitest"
import { followJob, type HostClient } from "../../main/contract/client.ts"
import type { MarkRequest } from "../../main/contract/schema/mark.ts"
import type { Mode } from "../../main/contract/schema/base.ts"
import type { Protected } from "../../main/contract/schema/protect.ts"
import type { Opened, Verdict } from "../../main/contract/schema/verify.ts"
import { TRANSPORTS, type Engine } from "./engines.ts"
import { MODELS, sharedFolder } from "./workspace.ts"

export interface Desk {
  readonly folder: string
  readonly workspace: string
  readonly engine: HostClient
  at(name: string): string
  protect(
    model: string,
    output: string,
    /** Without a mark unless it is asked for: most suites are about bytes that must be those of the original. */
    options?: {
      readonly devices?: readonly string[]
      readonly mode?: Mode
      readonly mark?: MarkRequest | null
    },
  ): Promise<Protected>
  verify(file: string, device?: string | null, trust?: string): Promise<Verdict>
  open(file: string, output: string, device?: string): Promise<Opened>
}

/** Opened before the suite's tests and closed after them. Devices `press-07` and `press-08` have software keys. */
export function useDesk(): Desk {
  const folder = sharedFolder()
  const workspace = path.join(folder, "workspace")
  let connection: Engine | null = null
  const engine = (): HostClient => {
    if (connection === null) throw new Error("the desk opens with the first test")
    return connection.engine
  }
  beforeAll(async () => {
    connection = TRANSPORTS[0]?.open(workspace) ?? null
    await engine().keys.create({ name: "release-1", purpose: "signing" })
    for (const name of ["press-07", "press-08"])
      await engine().devices.add({ name, key: { kind: "software" } })
  })
  afterAll(async () => connection?.close())
  const refer = async (file: string) => engine().files.refer({ path: file })
  return {
    folder,
    workspace,
    get engine() {
      return engine()
    },
    at: (name) => path.join(folder, name),
    protect: async (model, output, { devices = ["press-07"], mode = "individual", mark = null } = {}) =>
      followJob(
        await engine().protect({
          model: await refer(path.resolve(MODELS, model)),
          devices: [...devices],
          signingKey: "release-1",
          escrow: [],
          mode,
          mark,
          output: { file: await refer(output), replace: true },
        }),
      ),
    verify: async (file, device = "press-07", trust) =>
      followJob(
        await engine().verify({
          file: await refer(file),
          device,
          trust: trust === undefined ? null : await refer(trust),
        }),
      ),
    open: async (file, output, device = "press-07") =>
      followJob(
        await engine().open({
          file: await refer(file),
          device,
          trust: null,
          output: { file: await refer(output), replace: false },
        }),
      ),
  }
}
