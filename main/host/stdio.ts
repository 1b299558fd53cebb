/** The engine as a process of its own: serves the contract over standard input and output. Ends when its caller does. */
import { serveEngine } from "../contract/server.ts"
import { defaultWorkspace } from "../platform/default-workspace.ts"
import { framedPort } from "../platform/framed-port.ts"
import { localPorts } from "../platform/ports.ts"
import { createEngine } from "../services/engine.ts"

const { ports, close } = localPorts(process.argv[2] ?? defaultWorkspace())
const port = framedPort(process.stdin, process.stdout)
serveEngine(createEngine(ports), port)
// Jobs are aborted with the port and leave nothing half-written; when they are done, nothing keeps the process alive.
port.on("close", () => void close())
