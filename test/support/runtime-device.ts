/** A sealed package on a device that runs in a process of its own (runtime-host.ts), as root or as an ordinary user. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process"
import path from "node:path"
import { createInterface } from "node:readline"
import { onTestFinished } from "vitest"
import type { RuntimeLevel } from "../../main/contract/schema/runtime.ts"

export const NOBODY = 65_534
export const isRoot = process.getuid?.() === 0

export interface DeviceOptions {
  readonly workspace: string
  readonly file: string
  readonly device: string
  readonly level: RuntimeLevel
  /** As user nobody, with the right to lock memory: what LimitMEMLOCK=infinity gives a service. */
  readonly isOrdinary?: boolean
  readonly cwd: string
}

export type DeviceAnswer =
  | {
      readonly kind: "loaded"
      readonly level: RuntimeLevel
      readonly loadMs: Readonly<Record<string, number>>
    }
  | { readonly kind: "inferred" }
  | { readonly kind: "unloaded"; readonly ms: number }
  | { readonly kind: "closed" }
  | { readonly kind: "failed"; readonly code: string; readonly message: string }

export class DeviceProcess {
  readonly child: ChildProcess
  readonly #answers: AsyncIterator<string>

  constructor(options: DeviceOptions) {
    const { workspace, file, device, level, isOrdinary = false, cwd } = options
    const host = [process.execPath, path.join(import.meta.dirname, "runtime-host.ts")]
    const args = [...(isOrdinary ? AS_NOBODY : []), ...host, workspace, file, device, level]
    const [program = "", ...rest] = args
    const child = spawn(program, rest, { cwd, env: {}, stdio: ["pipe", "pipe", "inherit"] })
    this.child = child
    this.#answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    onTestFinished(() => {
      child.kill("SIGKILL")
    })
  }

  get pid(): number {
    return this.child.pid ?? -1
  }

  async answer(): Promise<DeviceAnswer> {
    const { value, done } = await this.#answers.next()
    if (done === true) return { kind: "failed", code: "ENGINE_GONE", message: "the device process ended" }
    // What our own script prints.
    return JSON.parse(value) as DeviceAnswer
  }

  async tell(command: string): Promise<DeviceAnswer> {
    this.child.stdin?.write(`${command}\n`)
    return this.answer()
  }
}

export function giveToNobody(folder: string): void {
  const result = spawnSync("chown", ["-R", `${NOBODY}:${NOBODY}`, folder], { encoding: "utf8" })
  if (result.status !== 0) throw new Error(result.stderr)
}

const AS_NOBODY = [
  ...["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"],
  ...["--bounding-set=-all,+ipc_lock", "--inh-caps=-all,+ipc_lock", "--ambient-caps=-all,+ipc_lock"],
]
