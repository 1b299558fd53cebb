/** The engine over every transport, for suites that must hold over each. */
import { MessageChannel } from "node:worker_threads"
import { connectEngine, type HostClient } from "../../main/contract/client.ts"
import { localEngine, serveEngine } from "../../main/contract/server.ts"
import { startEngineProcess } from "../../main/platform/engine-process.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { createEngine } from "../../main/services/engine.ts"

export interface Engine {
  readonly engine: HostClient
  readonly close: () => Promise<void>
}

export const TRANSPORTS: readonly { readonly name: string; readonly open: (workspace: string) => Engine }[] =
  [
    {
      name: "in process",
      open: (workspace) => {
        const { ports, close } = localPorts(workspace)
        return { engine: localEngine(createEngine(ports)), close }
      },
    },
    {
      name: "over a message port",
      open: (workspace) => {
        const { ports, close } = localPorts(workspace)
        const { port1, port2 } = new MessageChannel()
        serveEngine(createEngine(ports), port1)
        const engine = connectEngine(port2)
        port1.start()
        port2.start()
        return {
          engine,
          close: async () => {
            port2.close()
            await close()
          },
        }
      },
    },
    {
      name: "over standard streams",
      open: (workspace) => {
        const { engine, stop } = startEngineProcess(workspace)
        return { engine, close: stop }
      },
    },
  ]
