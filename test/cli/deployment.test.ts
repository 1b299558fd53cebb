/** From `trust init` to `fleet status` on the command line: a desk, its signers, a device that is never online. */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import type { HostClient } from "../../main/contract/client.ts"
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

  test("send a release out, which the device verifies, installs and reports", async () => {
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
    expect(await cliRefusal(["device", "install", "press-07", ...device])).toMatchObject({
      code: "SLOT_EMPTY",
    })
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
    expect(log.stdout).toContain("1.0 to pilot, 1 devices")
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
