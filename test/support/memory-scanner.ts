/** Windows of a secret, and the process that looks for them where others can look (memory-scanner.c). */
import { spawn, spawnSync, type ChildProcess } from "node:child_process"
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import path from "node:path"
import { createInterface } from "node:readline"
import { afterAll } from "vitest"
import { sharedFolder } from "./workspace.ts"

const WINDOW_BYTES = 32

/** What a scan saw, or the errno of the kernel's refusal. */
export type Scan =
  | { readonly kind: "read"; readonly found: number; readonly bytes: number }
  | { readonly kind: "refused"; readonly errno: number }

/** Windows at random places (from `seed`) of what can be told from chance: at least 12 different bytes. */
export function sampleWindows(secret: Uint8Array, count: number, seed: number): Uint8Array {
  const windows = new Uint8Array(count * WINDOW_BYTES)
  let state = seed >>> 0 || 1
  for (let taken = 0, tries = 0; taken < count; tries++) {
    if (tries > count * 1000) throw new Error("the secret has too few distinct bytes")
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const at = Math.floor((state / 2 ** 32) * (secret.length - WINDOW_BYTES))
    const window = secret.subarray(at, at + WINDOW_BYTES)
    if (new Set(window).size < 12) continue
    windows.set(window, taken * WINDOW_BYTES)
    taken += 1
  }
  return windows
}

export interface ScannerOptions {
  /** Runs as this user instead of ours. */
  readonly uid?: number
  /** Bytes of a window, 32 unless it is given. */
  readonly width?: number
}

/** Compiles the scanner once a suite. Scanners end with the suite. */
export function useScanners(): (windows: Uint8Array, options?: ScannerOptions) => Scanner {
  const folder = sharedFolder()
  const program = path.join(folder, "scanner")
  const scanners: Scanner[] = []
  afterAll(() => {
    for (const scanner of scanners) scanner.end()
  })
  return (windows, options = {}) => {
    if (!existsSync(program)) {
      const source = path.join(import.meta.dirname, "memory-scanner.c")
      const built = spawnSync("cc", ["-O2", "-o", program, source], { encoding: "utf8" })
      if (built.status !== 0) throw new Error(built.stderr)
      spawnSync("chmod", ["755", folder])
    }
    const file = path.join(folder, `windows-${scanners.length}`)
    writeFileSync(file, windows, { mode: 0o644 })
    const scanner = new Scanner(program, file, options)
    scanners.push(scanner)
    return scanner
  }
}

export class Scanner {
  readonly #child: ChildProcess
  readonly #answers: AsyncIterator<string>

  constructor(program: string, windows: string, { uid, width = WINDOW_BYTES }: ScannerOptions) {
    const child = spawn(program, [windows, String(width)], {
      stdio: ["pipe", "pipe", "inherit"],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    })
    this.#child = child
    this.#answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  async memory(pid: number): Promise<Scan> {
    return this.#ask(`mem ${pid}`)
  }

  async file(path: string): Promise<Scan> {
    return this.#ask(`file ${path}`)
  }

  async memoryByCall(pid: number): Promise<Scan> {
    return this.#ask(`vm ${pid}`)
  }

  /** Windows found in all files under a folder, and the bytes read. */
  async folder(root: string): Promise<{ readonly found: number; readonly bytes: number }> {
    let found = 0
    let bytes = 0
    for (const name of readdirSync(root, { recursive: true, encoding: "utf8" })) {
      const file = path.join(root, name)
      if (!statSync(file, { throwIfNoEntry: false })?.isFile()) continue
      const scan = await this.#ask(`file ${file}`)
      if (scan.kind === "refused") continue
      found += scan.found
      bytes += scan.bytes
    }
    return { found, bytes }
  }

  end(): void {
    this.#child.kill("SIGKILL")
  }

  async #ask(command: string): Promise<Scan> {
    this.#child.stdin?.write(`${command}\n`)
    const { value } = await this.#answers.next()
    const [verdict, first, second] = String(value).split(" ")
    if (verdict === "ok") return { kind: "read", found: Number(first), bytes: Number(second) }
    return { kind: "refused", errno: Number(first) }
  }
}

/** Process ids of everything a process started, and what that started. */
export function descendants(pid: number): readonly number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue
    const parent = parentOf(Number(name))
    if (parent !== null) parents.set(Number(name), parent)
  }
  const found: number[] = []
  for (let level = [pid]; level.length > 0;) {
    level = [...parents].filter(([, parent]) => level.includes(parent)).map(([child]) => child)
    found.push(...level)
  }
  return found
}

/** `null` when the process is gone, or a zombie nobody has waited for yet. */
function parentOf(pid: number): number | null {
  try {
    const [state, parent] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? []
    return state === "Z" || parent === undefined ? null : Number(parent)
  } catch {
    return null
  }
}
