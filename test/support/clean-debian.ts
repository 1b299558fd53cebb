/** A Debian with nothing in it but what every one has: made from this computer's mirror, entered by chroot, booted on request. Needs root. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs"
import path from "node:path"
import { run } from "../../packaging/release/tarball.ts"

export interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

const CLEAN = ["/usr/bin/env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]

/** `packages`: what it has beside the essential ones. */
export function makeDebian(system: string, packages: readonly string[]): void {
  if (process.getuid?.() !== 0) throw new Error("a clean root needs root")
  const more = packages.length === 0 ? [] : [`--include=${packages.join(",")}`]
  run("debootstrap", ["--variant=minbase", ...more, "bookworm", system, mirror()])
}

/** A command in the system, without anything of this one around it. */
export function inside(system: string, ...command: readonly string[]): Ended {
  const { status, stdout, stderr } = spawnSync("chroot", [system, ...CLEAN, ...command], { encoding: "utf8" })
  return { status, stdout, stderr }
}

/** Everything in the system but what the kernel, dpkg's own books, logs and the caches of lists show. */
export function filesOf(system: string): readonly string[] {
  const skipped = ["proc/*", "var/lib/dpkg/*", "var/log/*"].flatMap((place) => [
    "-not",
    "-path",
    `${system}/${place}`,
  ])
  return run("find", [system, "-xdev", ...skipped])
    .split("\n")
    .filter((file) => !/\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)-?$/.test(file))
    .sort()
}

/** The system with its own systemd as process 1, in namespaces of its own: no network, none of this computer's processes. */
export class BootedDebian {
  readonly #program: ChildProcess
  readonly #group: string
  readonly #init: string

  private constructor(program: ChildProcess, group: string, init: string) {
    this.#program = program
    this.#group = group
    this.#init = init
  }

  /** Resolves when systemd says that it is up. The system must have systemd. */
  static async boot(system: string): Promise<BootedDebian> {
    const group = path.join(
      unifiedGroups(),
      `sealwright-${process.pid}-${path.basename(path.dirname(system))}`,
    )
    mkdirSync(group)
    const program = spawn(
      "sh",
      [
        ...["-c", `echo $$ > "$1/cgroup.procs" && shift && exec "$@"`, "sh", group],
        ...["unshare", "--cgroup", "--pid", "--mount", "--uts", "--ipc", "--net", "--fork", "--kill-child"],
        ...["sh", "-c", BOOT, "sh", system],
      ],
      { stdio: "ignore" },
    )
    const unshared = program.pid ?? 0
    const init = await soon(() => childOf(unshared))
    const booted = new BootedDebian(program, group, init)
    try {
      await soon(
        () => /^(running|degraded)$/m.test(booted.inside("systemctl", "is-system-running").stdout) || null,
      )
    } catch (error) {
      await booted.end()
      throw error
    }
    return booted
  }

  inside(...command: readonly string[]): Ended {
    const { status, stdout, stderr } = spawnSync(
      "nsenter",
      [
        "--target",
        this.#init,
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--net",
        "--cgroup",
        ...CLEAN,
        ...command,
      ],
      { encoding: "utf8" },
    )
    return { status, stdout, stderr }
  }

  /** Everything in it dies with its process 1. */
  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.#program.once("exit", resolve))
    process.kill(Number(this.#init), "SIGKILL")
    await gone
    await soon(() => removeGroups(this.#group) || null)
  }
}

/** Mounts what a container's process 1 expects, makes the folder its root, and becomes systemd. */
const BOOT = `set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "dev/\${node%:*}" c 1 "\${node#*:}"; done
mkdir dev/shm run/old
mount -t tmpfs tmpfs dev/shm
pivot_root . run/old
umount -l /run/old
exec env -i container=sealwright PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=multi-user.target
`

const BOOT_MS = 60_000

async function soon<T>(look: () => T | null): Promise<T> {
  for (const until = performance.now() + BOOT_MS; performance.now() < until;) {
    const found = look()
    if (found !== null) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error("the system did not come up")
}

/** The one child of a process, once it is there. */
function childOf(pid: number): string | null {
  const [child = ""] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")
  return child === "" ? null : child
}

function unifiedGroups(): string {
  const mounts = readFileSync("/proc/mounts", "utf8")
  const found = /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1]
  if (found === undefined) throw new Error("this computer has no unified control groups")
  return found
}

/** Bottom up. `false` while a process is still in one. */
function removeGroups(group: string): boolean {
  if (!existsSync(group)) return true
  for (const entry of readdirSync(group, { withFileTypes: true }))
    if (entry.isDirectory() && !removeGroups(path.join(group, entry.name))) return false
  try {
    rmdirSync(group)
    return true
  } catch {
    return false
  }
}

/** Where this computer's own packages come from. */
function mirror(): string {
  for (const name of [
    "/etc/apt/sources.list",
    ...readdirSync("/etc/apt/sources.list.d").map((each) => `/etc/apt/sources.list.d/${each}`),
  ]) {
    if (!existsSync(name)) continue
    const text = readFileSync(name, "utf8")
    const found = /^(?:deb(?: \[[^\]]*\])? |URIs: )(\S+)/m.exec(text)?.[1]
    if (found !== undefined) return found
  }
  throw new Error("apt names no mirror")
}
