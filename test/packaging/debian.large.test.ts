/**
 * The Debian package in a clean Debian: installed, used and purged, and the device agent under that system's own systemd. Slow, since it
 * bootstraps a system from the mirror.
 */
import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { packHeadless } from "../../packaging/release/headless.ts"
import { run } from "../../packaging/release/tarball.ts"
import { BootedDebian, filesOf, inside, makeDebian } from "../support/clean-debian.ts"
import { MODELS, ROOT, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const system = path.join(folder, "system")

beforeAll(() => {
  const out = path.join(folder, "out")
  mkdirSync(out)
  const debian = packHeadless(ROOT, out, 1_700_000_000).find((file) => file.endsWith(".deb")) ?? ""
  makeDebian(system, ["systemd"])
  copyFileSync(debian, path.join(system, "sealwright.deb"))
}, 900_000)

describe("in a clean Debian", () => {
  beforeAll(() => void run("mount", ["-t", "proc", "proc", path.join(system, "proc")]))
  afterAll(() => void spawnSync("umount", [path.join(system, "proc")]))

  test("installs, protects the sample, and leaves nothing when purged", () => {
    const before = filesOf(system)
    const accounts = readFileSync(path.join(system, "etc", "passwd"), "utf8")
    const installed = inside(system, "dpkg", "--install", "/sealwright.deb")
    expect(installed.stderr + installed.stdout).not.toContain("error")
    expect(installed.status).toBe(0)
    expect(inside(system, "sealwright", "--version").stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/)
    expect(inside(system, "sealwright", "doctor").status).toBe(0)
    expect(
      readdirSync(path.join(system, "lib", "systemd", "system")).filter((name) =>
        name.startsWith("sealwright"),
      ),
    ).toHaveLength(3)
    const place = ["--out", "/root/quickstart", "--workspace", "/root/workspace"]
    const quickstart = inside(system, "sealwright", "quickstart", ...place)
    expect(quickstart.stderr).not.toContain("sealwright:")
    expect(quickstart.status).toBe(0)
    expect(existsSync(path.join(system, "root", "quickstart", "report.html"))).toBe(true)
    // The agent's account works in its own folder.
    const keys = ["sealwright", "keys", "create", "k", "--workspace", "/var/lib/sealwright"]
    const account = ["setpriv", "--reuid=sealwright", "--regid=sealwright", "--clear-groups"]
    expect(inside(system, ...account, ...keys).status).toBe(0)
    inside(system, "rm", "-rf", "/root/quickstart", "/root/workspace")
    expect(inside(system, "dpkg", "--purge", "sealwright").status).toBe(0)
    expect(filesOf(system).filter((file) => !before.includes(file))).toEqual([])
    expect(readFileSync(path.join(system, "etc", "passwd"), "utf8")).toBe(accounts)
  })
})

describe("under systemd", () => {
  let booted: BootedDebian
  let before: readonly string[]
  beforeAll(async () => {
    booted = await BootedDebian.boot(system)
    before = filesOf(system)
    succeed("dpkg", "--install", "/sealwright.deb")
    makeFleet()
  }, 300_000)
  afterAll(async () => booted?.end())

  const HOME = "/var/lib/sealwright"
  const host = (place: string) => path.join(system, place)
  function succeed(...command: readonly string[]): string {
    const { status, stdout, stderr } = booted.inside(...command)
    if (status !== 0) throw new Error(`${command.join(" ")}: ${status}: ${stdout}${stderr}`)
    return stdout
  }
  const agent = (...command: readonly string[]) =>
    succeed(
      ...["setpriv", "--reuid=sealwright", "--regid=sealwright", "--init-groups"],
      ...["env", `HOME=${HOME}`, `SEALWRIGHT_HOME=${HOME}`, "sealwright", ...command],
    )
  const desk = (...command: readonly string[]) =>
    succeed("sealwright", ...command, "--workspace", "/root/desk")

  /** A desk in root's folder has a release for the device whose key the agent's account made. */
  function makeFleet(): void {
    copyFileSync(path.join(MODELS, "digits-mlp.onnx"), host("root/model.onnx"))
    for (const name of ["alice", "press", "desk"]) desk("keys", "create", name)
    const { recipient } = JSON.parse(agent("device", "add", "press-07", "--software", "--json")) as {
      readonly recipient: string
    }
    desk("device", "add", "press-07", "--recipient", recipient)
    desk(
      ...["trust", "init", "--root", "alice", "--root-threshold", "1", "--release-manager", "alice"],
      ...["--approver", "alice", "--packager", "press", "--online", "desk", "--director", "desk"],
      ...["--validation", "none"],
    )
    const protect = ["protect", "/root/model.onnx", "--device", "press-07", "--sign", "press", "--no-mark"]
    desk(...protect, "-o", "/root/p.seal")
    desk("release", "create", "1.0", "/root/p.seal")
    desk("fleet", "ring", "pilot", "press-07")
    desk("release", "approve", "1.0", "--key", "alice")
    desk("release", "publish", "1.0", "--ring", "pilot")
    desk("export", "--ring", "pilot", "-o", "/root/pilot.seal")
    succeed("install", "--mode=600", "--owner=sealwright", "/root/pilot.seal", `${HOME}/first.seal`)
    const pinned = JSON.parse(
      agent("device", "provision", "press-07", "--from", `${HOME}/first.seal`, "--json"),
    ) as { readonly receiptKey: { readonly publicKeyPem: string } }
    writeFileSync(host("root/receipts.pem"), pinned.receiptKey.publicKeyPem)
    desk("fleet", "trust", "press-07", "/root/receipts.pem")
    succeed("rm", `${HOME}/first.seal`)
  }

  /** Carries a file to the agent and waits until it was looked at; what systemd says came of it. */
  async function bring(file: string): Promise<string> {
    const inbox = `${HOME}/inbox`
    succeed("rm", "-f", `${inbox}/press-07.seal.seen`)
    succeed("install", "--mode=600", "--owner=sealwright", file, `${inbox}/.coming`)
    renameSync(host(`${inbox}/.coming`), host(`${inbox}/press-07.seal`))
    await expect
      .poll(() => existsSync(host(`${inbox}/press-07.seal.seen`)), { timeout: 60_000, interval: 200 })
      .toBe(true)
    const state = () => show("ActiveState", "sealwright-device@press-07.service")
    await expect.poll(state, { timeout: 30_000, interval: 200 }).toMatch(/^(inactive|failed)$/)
    return show("Result", "sealwright-device@press-07.service")
  }
  const show = (property: string, unit: string) =>
    succeed("systemctl", "show", "--value", "--property", property, unit).trim()

  interface Served {
    readonly level: {
      readonly reached: string
      readonly steps: readonly {
        readonly level: string
        readonly step: string
        readonly isHeld: boolean
      }[]
    }
  }
  const served = (): readonly Served[] =>
    JSON.parse(agent("runtime", "status", "--json")) as readonly Served[]

  test("a service with nothing to serve says so and is not tried again and again", async () => {
    const unit = "sealwright-runtime@press-07.service"
    succeed("systemctl", "enable", "--quiet", "sealwright-runtime@press-07")
    booted.inside("systemctl", "start", unit)
    await expect.poll(() => show("ActiveState", unit), { timeout: 30_000 }).toBe("failed")
    expect([show("ExecMainStatus", unit), show("NRestarts", unit)]).toEqual(["5", "0"])
  })

  test("news are verified, installed and served at level R1, with every measure of it", async () => {
    succeed("systemctl", "enable", "--quiet", "--now", "sealwright-device@press-07.path")
    expect(await bring("/root/pilot.seal")).toBe("success")
    expect(existsSync(host(`${HOME}/outbox/press-07.receipts.seal`))).toBe(true)
    await expect.poll(() => served().length, { timeout: 60_000, interval: 500 }).toBe(1)
    const steps = served()[0]?.level.steps ?? []
    // The empty network among them: the unit's own, which the runtime needs no privilege to have.
    expect(steps.filter(({ level, isHeld }) => level === "R1" && !isHeld)).toEqual([])
    expect(steps.length).toBeGreaterThan(10)
  })

  test("reaches level R2 where memory may be locked", async () => {
    // LimitMEMLOCK= lifts the limit, unless this computer lets nobody do that, as in a container. Then the capability does.
    const folder = "/run/systemd/system/sealwright-runtime@.service.d"
    const lock = "[Service]\nCapabilityBoundingSet=CAP_IPC_LOCK\nAmbientCapabilities=CAP_IPC_LOCK\n"
    succeed("sh", "-c", `mkdir -p '${folder}' && printf '${lock}' > '${folder}/lock.conf'`)
    succeed("systemctl", "daemon-reload")
    succeed("systemctl", "restart", "sealwright-runtime@press-07")
    await expect.poll(() => served()[0]?.level.reached, { timeout: 60_000, interval: 500 }).toBe("R2")
  })

  test("the same news once more change nothing, and after the commit the desk gets its receipt", async () => {
    expect(await bring("/root/pilot.seal")).toBe("success")
    agent("device", "commit", "press-07")
    expect(await bring("/root/pilot.seal")).toBe("success")
    desk("import", `${HOME}/outbox/press-07.receipts.seal`)
    expect(JSON.parse(desk("fleet", "status", "--json"))).toMatchObject([
      { device: "press-07", running: "1.0", state: "current" },
    ])
  })

  test("what is no package is refused, put aside, and what is served goes on", async () => {
    await expect.poll(() => served().length, { timeout: 60_000, interval: 500 }).toBe(1)
    expect(await bring("/root/model.onnx")).toBe("exit-code")
    expect(served()).toHaveLength(1)
  })

  test("the agent's unit keeps a process from everything but its own folder", () => {
    const unit = readFileSync(host("lib/systemd/system/sealwright-device@.service"), "utf8")
    const properties = unit
      .slice(unit.indexOf("[Service]"))
      .replaceAll(/^(Exec(Start|StopPost)=|#).*\n/gm, "")
    const probe = `${properties}ExecStart=/bin/sh /probe.sh\n`
    writeFileSync(host("etc/systemd/system/probe.service"), probe)
    writeFileSync(host("probe.sh"), PROBE, { mode: 0o644 })
    succeed("systemctl", "daemon-reload")
    succeed("systemctl", "start", "probe.service")
    const said = readFileSync(host(`${HOME}/said`), "utf8")
      .trim()
      .split("\n")
    succeed("rm", "/etc/systemd/system/probe.service", "/probe.sh", `${HOME}/said`)
    expect(said).toEqual([
      "writing its folder: yes",
      "writing the system: no",
      "a program of its own folder: no",
      "a program of the temporary folder: no",
      "root's folder: no",
      "another account's process: no",
      "a namespace: no",
      "a mount: no",
      "a capability: no",
      "another network than none: no",
    ])
  })

  test("stops at once and in order: nothing is served, and nothing has failed", () => {
    const unit = "sealwright-runtime@press-07.service"
    succeed("systemctl", "stop", unit)
    expect([show("ActiveState", unit), show("ExecMainStatus", unit)]).toEqual(["inactive", "0"])
    expect(served()).toEqual([])
  })

  test("leaves nothing when it is purged, enabled units included", () => {
    succeed("dpkg", "--purge", "sealwright")
    succeed("sh", "-c", "rm -rf /root/desk /root/*.seal /root/*.onnx /root/*.pem")
    expect(
      filesOf(system).filter((file) => !before.includes(file) && !/\/var\/lib\/systemd\//.test(file)),
    ).toEqual([])
    expect(
      booted.inside("systemctl", "list-units", "--all", "--plain", "--no-legend", "sealwright*").stdout,
    ).toBe("")
  })
})

/** Tries each in turn and writes down what went. */
const PROBE = `cd /var/lib/sealwright
try() { what=$1; shift; if "$@" >/dev/null 2>&1; then echo "$what: yes"; else echo "$what: no"; fi >> said; }
rm -f said
try "writing its folder" touch trace
try "writing the system" touch /usr/trace
cp /bin/true own; try "a program of its own folder" ./own
cp /bin/true /tmp/own; try "a program of the temporary folder" /tmp/own
try "root's folder" ls /root
try "another account's process" test -e /proc/1/status
try "a namespace" unshare --user true
try "a mount" mount -t tmpfs tmpfs /mnt
try "a capability" grep -qv '^CapBnd:\\s*0*$' /dev/stdin <<END
$(grep CapBnd /proc/self/status)
END
try "another network than none" grep -qv 'lo:\\|Inter\\|face' /proc/self/net/dev
rm -f trace own
`
