/** Which TPM, and how long to stay connected to it. */
import { existsSync } from "node:fs"
import { Tpm } from "../../../../native/lib/tpm.ts"
import { AppError } from "../../../contract/errors.ts"

/** Time without a command after which a connection ends: a chip without a resource manager serves one program at a time. */
const IDLE_MS = 300

/** Devices in the order they are looked for. Simulators are used only when somebody names them: any user could run one. */
const DEVICES = ["/dev/tpmrm0", "/dev/tpm0"] as const
const SYSTEM_BUS = "/run/dbus/system_bus_socket"

/** `preferred` (what the user named for this process) goes before what a key was made with; then whatever is there. */
export function chooseTcti(preferred: string | null, recorded: string | null): string {
  const named = preferred ?? recorded
  if (named !== null) return named
  const device = DEVICES.find((path) => existsSync(path))
  if (device !== undefined) return `device:${device}`
  // The resource manager's library complains on standard error where there is no bus to find it on.
  return existsSync(SYSTEM_BUS) ? "tabrmd" : `device:${DEVICES[0]}`
}

/** Connections by TCTI, opened when first used and closed when idle, so that a batch pays for one. */
export class TpmConnections {
  readonly #open = new Map<string, { readonly tpm: Tpm; users: number; timer: NodeJS.Timeout | null }>()

  async use<T>(tcti: string, action: (tpm: Tpm) => Promise<T>): Promise<T> {
    const entry = this.#open.get(tcti) ?? { tpm: new Tpm(tcti), users: 0, timer: null }
    this.#open.set(tcti, entry)
    if (entry.timer !== null) clearTimeout(entry.timer)
    entry.users += 1
    try {
      return await action(entry.tpm)
    } catch (error) {
      // A connection that broke stays broken: the next command gets a new one.
      if (error instanceof AppError && BROKEN.has(error.code)) this.#open.delete(tcti)
      throw error
    } finally {
      entry.users -= 1
      if (entry.users === 0) {
        if (this.#open.get(tcti) !== entry) await entry.tpm.close()
        else entry.timer = setTimeout(() => void this.#closeIdle(tcti), IDLE_MS)
      }
    }
  }

  async close(): Promise<void> {
    const entries = [...this.#open.values()]
    this.#open.clear()
    for (const { timer, tpm } of entries) {
      if (timer !== null) clearTimeout(timer)
      await tpm.close()
    }
  }

  async #closeIdle(tcti: string): Promise<void> {
    const entry = this.#open.get(tcti)
    if (entry === undefined || entry.users > 0) return
    this.#open.delete(tcti)
    await entry.tpm.close()
  }
}

const BROKEN: ReadonlySet<string> = new Set(["TPM_ABSENT", "TPM_BUSY", "TPM_FAILED"])
