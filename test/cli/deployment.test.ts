/** From `trust init` to `fleet status` on the command line: a desk, its signers, a device that is never online. */
import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { followJob, type HostClient } from "../../main/contract/client.ts"
import type { DeploymentStatus, Provisioned } from "../../main/contract/schema/deployment.ts"
import type { FleetDevice, Imported, Published, Release } from "../../main/contract/schema/release.ts"
import type { SignedRequest, Trust } from "../../main/contract/schema/trust.ts"
import type { Verdict } from "../../main/contract/schema/verify.ts"
import { TRANSPORTS } from "../support/engines.ts"
import { cli, cliJson, cliRefusal, DATA, MODELS, ROOT, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const at = (name: string) => path.join(folder, name)
const desk = ["--workspace", at("desk")]
const device = ["--workspace", at("device")]

/** Preparations need no process each. */
async function inEngine<T>(home: string, work: (engine: HostClient) => Promise<T>): Promise<T> {
  const connection = TRANSPORTS[0]?.open(at(home))
  if (connection === undefined) throw new Error("no transport")
  try {
    return await work(connection.engine)
  } finally {
    await connection.close()
  }
}

beforeAll(async () => {
  await inEngine("desk", async ({ keys }) => {
    for (const name of ["alice", "press", "desk"]) await keys.create({ name, purpose: "signing" })
  })
  for (const name of ["bob", "carol"])
    await inEngine(name, async ({ keys }) => {
      const { publicKeyPem } = await keys.create({ name, purpose: "signing" })
      writeFileSync(at(`${name}.pem`), publicKeyPem ?? "")
    })
})

const LONG = { timeout: 180_000 }

describe("a desk, three signers and a device", () => {
  test("make a trust root with three people by files", async () => {
    const roles = [
      "--root",
      "alice",
      `bob=${at("bob.pem")}`,
      `carol=${at("carol.pem")}`,
      "--root-threshold",
      "3",
    ]
    const init = ["trust", "init", ...roles, "--release-manager", "alice", "--approver", "alice"]
    const rest = ["--packager", "press", "--online", "desk", "--director", "desk", "--validation", "none"]
    const waiting = await cliJson<Trust>([...init, ...rest, ...desk])
    expect(waiting).toMatchObject({ roots: null, pending: { isComplete: false } })
    const early = ["release", "publish", "1.0", "--ring", "pilot", ...desk]
    expect(await cliRefusal(early)).toMatchObject({ code: "TRUST_ABSENT" })
    await cliJson(["trust", "request", "-o", at("root.request.json"), ...desk])
    for (const name of ["bob", "carol"]) {
      const sign = ["trust", "sign", at("root.request.json"), "--key", name, "-o", at(`${name}.answer.json`)]
      const signed = await cliJson<SignedRequest>([...sign, "--workspace", at(name)])
      expect(signed.documents.map(({ what }) => what)).toEqual([
        "image root, version 1",
        "director root, version 1",
        "image targets, version 1",
      ])
    }
    expect(await cliJson<Trust>(["trust", "assemble", at("bob.answer.json"), ...desk])).toMatchObject({
      roots: null,
    })
    const made = await cliJson<Trust>(["trust", "assemble", at("carol.answer.json"), ...desk])
    expect(made).toMatchObject({ roots: { image: { version: 1 } }, pending: null })
    const again = await cliRefusal([...init, ...rest, ...desk])
    expect(again).toMatchObject({ code: "TRUST_EXISTS", status: again.exitCode })
  })

  // Some twenty processes, one after the other.
  test("send a release out, which the device verifies, installs and reports", LONG, async () => {
    const made = await inEngine("device", async ({ devices }) =>
      devices.add({ name: "press-07", key: { kind: "software" } }),
    )
    await inEngine("desk", async ({ devices }) =>
      devices.add({ name: "press-07", key: { kind: "recipient", recipient: made.recipient } }),
    )
    const model = path.join(MODELS, "digits-mlp.onnx")
    const protect = [
      "protect",
      model,
      "--device",
      "press-07",
      "--sign",
      "press",
      "--no-mark",
      "-o",
      at("p.seal"),
    ]
    await cliJson([...protect, ...desk])
    await cliJson(["release", "create", "1.0", at("p.seal"), ...desk])
    await cliJson(["fleet", "ring", "pilot", "press-07", ...desk])
    expect(await cliRefusal(["release", "publish", "1.0", "--ring", "pilot", ...desk])).toMatchObject({
      code: "RELEASE_GATE",
    })
    const approved = await cliJson<Release>(["release", "approve", "1.0", "--key", "alice", ...desk])
    expect(approved).toMatchObject({ state: "approved", changes: expect.any(Array) })
    const published = await cliJson<Published>(["release", "publish", "1.0", "--ring", "pilot", ...desk])
    expect(published).toMatchObject({ counter: 1, devices: 1 })
    await cliJson(["export", "--ring", "pilot", "-o", at("pilot.seal"), ...desk])
    expect(
      await cliRefusal(["device", "sync", "press-07", "--from", at("pilot.seal"), ...device]),
    ).toMatchObject({
      code: "DEVICE_NOT_PROVISIONED",
    })
    const pinned = await cliJson<Provisioned>([
      "device",
      "provision",
      "press-07",
      "--from",
      at("pilot.seal"),
      ...device,
    ])
    writeFileSync(at("receipts.pem"), pinned.receiptKey.publicKeyPem)
    await cliJson(["fleet", "trust", "press-07", at("receipts.pem"), ...desk])
    await cliJson(["device", "sync", "press-07", "--from", at("pilot.seal"), ...device])
    await cliJson(["device", "install", "press-07", ...device])
    // The same news once more: nothing waits, and the trial goes on.
    const again = await cliJson<DeploymentStatus>([
      ...["device", "install", "press-07", "--if-fetched"],
      ...device,
    ])
    expect(again).toMatchObject({ active: "a", slots: { a: { state: "trial" } } })
    const status = await cliJson<DeploymentStatus>(["device", "commit", "press-07", ...device])
    expect(status).toMatchObject({ active: "a", floors: { deployment: 1, release: 1, level: "software" } })
    const run = ["run", "--device", "press-07", "--input", path.join(DATA, "digits-calib-x.npy")]
    expect(await cliJson([...run, ...device])).toMatchObject({ outputs: [{ type: "float32" }] })
    await cliJson(["device", "receipts", "press-07", "-o", at("back.seal"), ...device])
    const taken = await cliJson<Imported["receipts"]>(["import", at("back.seal"), ...desk])
    expect(taken).toMatchObject([{ device: "press-07", result: "taken" }])
    const fleet = await cliJson<readonly FleetDevice[]>(["fleet", "status", ...desk])
    expect(fleet).toMatchObject([{ device: "press-07", ring: "pilot", running: "1.0", state: "current" }])
    const log = await cli(["log", "show", ...desk])
    expect(log.stdout).toContain("1.0 to pilot, 1 device")
  })

  test("read what changes rule by rule, go back to an older release, and look at a ring without emptying it", async () => {
    writeFileSync(at("policy.json"), JSON.stringify({ notAfter: "2090-01-01T00:00:00Z" }))
    const model = path.join(MODELS, "digits-mlp.onnx")
    const rules = ["--device", "press-07", "--sign", "press", "--policy", at("policy.json"), "--no-mark"]
    await cliJson(["protect", model, ...rules, "-o", at("p2.seal"), ...desk])
    const made = await cli(["release", "create", "2.0", at("p2.seal"), ...desk])
    const lines = made.stdout.split("\n").map((line) => line.trim())
    expect(lines).toContain("policy notAfter: none → 2090-01-01T00:00:00Z")
    expect(lines.filter((line) => line.startsWith("policy "))).toHaveLength(1)
    expect(lines.filter((line) => /^package sha256:[0-9a-f]{64}$/.test(line))).toHaveLength(1)
    expect(lines.filter((line) => line.startsWith("model:"))).toEqual([])
    const back = await cliJson<Published>(["release", "rollback", "--ring", "pilot", "--to", "1.0", ...desk])
    expect(back).toMatchObject({ release: "1.0.again-2", counter: 2, devices: 1 })
    const pilot = { name: "pilot", devices: ["press-07"] }
    expect(await cliJson(["fleet", "ring", "pilot", ...desk])).toEqual(pilot)
    expect(await cliJson(["fleet", "rings", ...desk])).toEqual([pilot])
    const pem = await cli(["keys", "show", "bob", "--pem", "--workspace", at("bob")])
    expect(pem.stdout).toBe(readFileSync(at("bob.pem"), "utf8"))
  })

  test("lose no word when several processes change the trust root at once", async () => {
    const digests = Array.from({ length: 4 }, (_, index) => `sha256:${String(index).repeat(64)}`)
    const all = await Promise.all(
      digests.map(async (digest) => cli(["release", "revoke", "package", digest, "--json", ...desk])),
    )
    expect(all.map(({ status }) => status)).toEqual([0, 0, 0, 0])
    const releases = newestOf(path.join(at("desk"), "documents", "tuf", "image"), "release-manager")
    for (const digest of digests) expect(releases).toContain(digest)
  })
})

describe("a device that is offline", () => {
  const isRoot = process.getuid?.() === 0
  test.skipIf(process.platform !== "linux" || !isRoot)(
    "verifies a file and what it runs without opening a network socket, in a namespace without a network",
    async () => {
      const file = at("pilot.seal")
      for (const [name, args] of [
        ["file", ["verify", file, "--device", "press-07", "--trust", at("packager"), ...device]],
        ["device", ["device", "verify", "press-07", ...device]],
      ] as const) {
        mkdirSync(at("packager"), { recursive: true })
        writeFileSync(at("packager/press.pem"), await pemOf("press"))
        const { status, stdout, calls } = traced(name, [BIN, ...args, "--json"])
        const verdict = JSON.parse(stdout) as Verdict // printed by a command that succeeded
        expect([status, verdict.verdict]).toEqual([0, "verified"])
        expect(calls.filter((line) => /AF_INET|AF_NETLINK|AF_PACKET/.test(line))).toEqual([])
        expect(calls.some((line) => line.includes("exited with 0"))).toBe(true) // it was traced to its end
      }
      // The same eyes see a socket where there is one.
      const asked = traced("asked", [
        "-e",
        "require('node:net').connect(9, '127.0.0.1').on('error', () => {})",
      ])
      expect(asked.calls.some((line) => line.includes("AF_INET"))).toBe(true)
    },
  )
})

describe("a device whose disk is full", () => {
  const isRoot = process.getuid?.() === 0
  test.skipIf(process.platform !== "linux" || !isRoot)(
    "fetches nothing half, keeps what it runs, and goes on once there is room",
    async () => {
      const reference = await inEngine("desk", async ({ files, fleet, registry, release }) => {
        await release.approve({ name: "2.0", key: "alice" })
        await followJob(await release.publish({ name: "2.0", ring: "pilot" }))
        const output = { file: await files.refer({ path: at("next.seal") }), replace: true }
        await followJob(await fleet.export({ scope: { kind: "ring", ring: "pilot" }, output }))
        const folder = await files.refer({ path: at("stick") })
        await followJob(
          await registry.push({ file: output.file, to: { kind: "folder", folder }, tag: "2.0" }),
        )
        return `oci:${at("stick")}:2.0`
      })
      const room = at("room")
      mkdirSync(room)
      const sync = ["device", "sync", "press-07", "--from", at("next.seal")]
      const pull = ["pull", reference, "-o", path.join(room, "pulled.seal")]
      const own = ["--workspace", path.join(room, "device"), "--json"]
      const command = (args: readonly string[], name: string) =>
        [process.execPath, BIN, ...args, ...own].map((word) => `'${word}'`).join(" ") +
        ` > '${at(name)}'; echo $? >> '${at("ends")}'`
      const script = [
        `mount -t tmpfs -o size=8m none '${room}'`,
        `cp -r '${at("device")}' '${path.join(room, "device")}'`,
        // Full, and then a little less: state can be written, a package cannot.
        `cd '${room}'; dd if=/dev/zero of=fill bs=4k 2>/dev/null; truncate -s -24576 fill`,
        command(sync, "full-sync"),
        command(pull, "full-pull"),
        `ls device/slots pulled.seal > '${at("left")}' 2>/dev/null`,
        command(["device", "status", "press-07"], "full-status"),
        "rm fill",
        command(sync, "roomy-sync"),
      ].join("\n")
      const slots = readdirSync(path.join(at("device"), "slots"))
      expect(spawnSync("unshare", ["-m", "sh", "-c", script], { timeout: 120_000 }).status).toBe(0)
      const said = (name: string): unknown => JSON.parse(readFileSync(at(name), "utf8"))
      expect(readFileSync(at("ends"), "utf8").trim().split("\n")).toEqual(["7", "7", "0", "0"])
      for (const name of ["full-sync", "full-pull"])
        expect(said(name)).toMatchObject({ error: { code: "NO_SPACE", exitCode: 7 } })
      const left = readFileSync(at("left"), "utf8").split("\n")
      expect(left.filter((name) => name.includes("."))).toEqual(slots)
      expect(said("full-status")).toMatchObject({
        active: "a",
        incoming: null,
        slots: { a: { release: "1.0", state: "good" } },
      })
      expect(said("roomy-sync")).toMatchObject({ incoming: { release: "2.0", state: "waiting" } })
    },
  )
})

const BIN = path.join(ROOT, "main", "cli", "bin.mjs")

/** Runs Node under strace in an empty network namespace; `calls` are the lines about sockets and ends of processes. */
function traced(name: string, args: readonly string[]) {
  const log = at(`${name}.strace`)
  const strace = ["strace", "-f", "-q", "-e", "trace=socket,connect", "-e", "signal=none", "-o", log]
  const { status, stdout } = spawnSync("unshare", ["-n", ...strace, process.execPath, ...args], {
    encoding: "utf8",
    timeout: 120_000,
  })
  return { status, stdout, calls: readFileSync(log, "utf8").split("\n") }
}

async function pemOf(name: string): Promise<string> {
  return inEngine("desk", async ({ keys }) => (await keys.show({ name })).publicKeyPem ?? "")
}

function newestOf(folderName: string, role: string): string {
  let newest = ""
  for (let version = 1; ; version += 1) {
    try {
      newest = readFileSync(path.join(folderName, `${version}.${role}.json`), "utf8")
    } catch {
      return newest
    }
  }
}
