/** The Debian package in a clean Debian: installed, used and purged. Slow, since it bootstraps a system from the mirror. */
import { spawnSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { packHeadless } from "../../packaging/release/headless.ts"
import { run } from "../../packaging/release/tarball.ts"
import { ROOT, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const system = path.join(folder, "system")

beforeAll(() => {
  if (process.getuid?.() !== 0) throw new Error("a clean root needs root")
  const out = path.join(folder, "out")
  mkdirSync(out)
  const debian = packHeadless(ROOT, out, 1_700_000_000).find((file) => file.endsWith(".deb")) ?? ""
  run("debootstrap", ["--variant=minbase", "bookworm", system, mirror()])
  copyFileSync(debian, path.join(system, "sealwright.deb"))
  run("mount", ["-t", "proc", "proc", path.join(system, "proc")])
}, 900_000)
afterAll(() => {
  spawnSync("umount", [path.join(system, "proc")])
})

/** A command in the clean system, without anything of this one around it. */
function inside(...command: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(
    "chroot",
    [system, "/usr/bin/env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", ...command],
    { encoding: "utf8" },
  )
  return { status, stdout, stderr }
}

/** Everything in the system but what the kernel and dpkg's own books show. */
function files(): readonly string[] {
  return run("find", [
    system,
    "-xdev",
    "-not",
    "-path",
    `${system}/proc/*`,
    "-not",
    "-path",
    `${system}/var/lib/dpkg/*`,
    "-not",
    "-path",
    `${system}/var/log/*`,
  ])
    .split("\n")
    .filter((file) => !/\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)-?$/.test(file))
    .sort()
}

test("installs in a clean Debian, protects the sample there, and leaves nothing when purged", () => {
  const before = files()
  const accounts = readFileSync(path.join(system, "etc", "passwd"), "utf8")
  const installed = inside("dpkg", "--install", "/sealwright.deb")
  expect(installed.stderr + installed.stdout).not.toContain("error")
  expect(installed.status).toBe(0)
  expect(inside("sealwright", "--version").stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/)
  expect(inside("sealwright", "doctor").status).toBe(0)
  expect(
    readdirSync(path.join(system, "lib", "systemd", "system")).filter((name) =>
      name.startsWith("sealwright"),
    ),
  ).toHaveLength(3)
  const quickstart = inside(
    "sealwright",
    "quickstart",
    "--out",
    "/root/quickstart",
    "--workspace",
    "/root/workspace",
  )
  expect(quickstart.stderr).not.toContain("sealwright:")
  expect(quickstart.status).toBe(0)
  expect(existsSync(path.join(system, "root", "quickstart", "report.html"))).toBe(true)
  // The agent's account works in its own folder.
  expect(
    inside(
      "setpriv",
      "--reuid=sealwright",
      "--regid=sealwright",
      "--clear-groups",
      "sealwright",
      "keys",
      "create",
      "k",
      "--workspace",
      "/var/lib/sealwright",
    ).status,
  ).toBe(0)
  inside("rm", "-rf", "/root/quickstart", "/root/workspace")
  expect(inside("dpkg", "--purge", "sealwright").status).toBe(0)
  expect(files().filter((file) => !before.includes(file))).toEqual([])
  expect(readFileSync(path.join(system, "etc", "passwd"), "utf8")).toBe(accounts)
})

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
