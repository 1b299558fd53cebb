/** What runs on a device under deployment, and how a package is tried there before it does. */
import { copyFileSync, readdirSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { followJob } from "../../../main/contract/client.ts"
import { createDeviceId } from "../../../main/core/policy/device-id.ts"
import { direct } from "../../../main/services/release/director.ts"
import { ownKeys } from "../../../main/services/trust/own-keys.ts"
import { currentPlan } from "../../../main/services/trust/publish.ts"
import { Fleet, own, role } from "../../support/shop.ts"
import { DATA, temporaryFolder } from "../../support/workspace.ts"

const INPUT = path.join(DATA, "digits-calib-x.npy")

const runOn = async (fleet: Fleet, file: string | null, output: string | null = null) => {
  const { engine } = fleet.device()
  const ref = async (at: string) => engine.files.refer({ path: at })
  const installed = async () => (await engine.deployment.installed({ device: "press-07" })).file
  return followJob(
    await engine.run({
      file: file === null ? await installed() : await ref(file),
      device: "press-07",
      trust: null,
      inputs: [{ name: null, file: await ref(INPUT) }],
      normalise: null,
      batch: null,
      level: null,
      output: output === null ? null : { file: await ref(output), replace: true, name: null },
    }),
  )
}

/** The plaintext, which a device gives out on the same terms. */
const openOn = async (fleet: Fleet, file: string) => {
  const { engine } = fleet.device()
  return followJob(
    await engine.open({
      file: await engine.files.refer({ path: file }),
      device: "press-07",
      trust: null,
      output: { file: await engine.files.refer({ path: fleet.shop.at("plain.onnx") }), replace: true },
    }),
  )
}

describe("a device under deployment", () => {
  test("runs what it installed, and no other package that was made for it", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { runtime: "real" })
    await fleet.release("r0")
    const other = fleet.shop.at("r0.package.seal")
    await fleet.release("r1")
    await fleet.publish("r1")
    const file = await fleet.export("r1.seal")
    await fleet.provision(file)
    await expect(runOn(fleet, file)).toFailWithCode("SLOT_EMPTY")
    await expect(openOn(fleet, file)).toFailWithCode("SLOT_EMPTY")
    await fleet.sync(file)
    await fleet.install()
    // News that come twice end no trial.
    await fleet.sync(file)
    await expect(fleet.install()).toFailWithCode("SLOT_EMPTY")
    expect((await runOn(fleet, null)).rows).toBeGreaterThan(0)
    await fleet.commit()
    expect((await runOn(fleet, file)).rows).toBeGreaterThan(0)
    await expect(runOn(fleet, other)).toFailWithCode("DEPLOYMENT_NONE")
    expect((await openOn(fleet, file)).files).toHaveLength(1)
    await expect(openOn(fleet, other)).toFailWithCode("DEPLOYMENT_NONE")
    fleet.shop.later({ days: 31 })
    await expect(runOn(fleet, file)).toFailWithCode("METADATA_EXPIRED")
    await expect(openOn(fleet, file)).toFailWithCode("METADATA_EXPIRED")
  })

  test("stops running a package that was revoked, and everything when it is revoked itself", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { runtime: "real" })
    const file = await fleet.deploy("r1")
    const { engine } = fleet.desk
    const { packages } = await engine.release.show({ name: "r1" })
    await engine.release.revoke({ kind: "package", digest: packages[0] ?? "" })
    await expect(fleet.sync(await fleet.export("revoked.seal"))).toFailWithCode("PACKAGE_REVOKED")
    await expect(runOn(fleet, file)).toFailWithCode("PACKAGE_REVOKED")
    await expect(openOn(fleet, file)).toFailWithCode("PACKAGE_REVOKED")
    await engine.release.revoke({ kind: "device", name: "press-07" })
    await fleet.sync(await fleet.export("nothing.seal"))
    await expect(runOn(fleet, file)).toFailWithCode("DEPLOYMENT_NONE")
  })

  test("does not serve from a slot below its floor", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { runtime: "real" })
    const old = await fleet.deploy("r1")
    const { ports } = fleet.device()
    await ports.floors.raise(await ports.devices.find("press-07"), { deployment: 2, release: 2 })
    await expect(runOn(fleet, old)).toFailWithCode("DEPLOYMENT_REPLAYED")
    const { engine } = fleet.device()
    const start = async () =>
      followJob(
        await engine.runtimes.start({
          file: await engine.files.refer({ path: old }),
          device: "press-07",
          trust: null,
          level: null,
          clients: ["local"],
        }),
      )
    await expect(start()).toFailWithCode("DEPLOYMENT_REPLAYED")
  })

  test("goes on with the package it has when only the word about it is new", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    await fleet.deploy("r1")
    await fleet.publish("r1")
    const status = await fleet.sync(await fleet.export("again.seal"))
    expect(status).toMatchObject({
      incoming: null,
      slots: { a: { release: "r1", counter: 2, state: "good" } },
      floors: { deployment: 2, release: 1 },
    })
    expect(readdirSync(path.join(fleet.device().workspace, "slots"))).toHaveLength(1)
  })
})

describe("a director with a new key", () => {
  test("is believed without a new publish, and the old key is not any more", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    await fleet.deploy("r1")
    const { engine, ports } = fleet.desk
    const before = await ownKeys(ports)
    const plan = await currentPlan(ports)
    await engine.keys.create({ name: "desk-2", purpose: "signing" })
    await engine.trust.change({
      kind: "rotate",
      roles: { director: role([own("desk-2")]) },
      gates: null,
      offlineDays: null,
    })
    const status = await fleet.sync(await fleet.export("rotated.seal"))
    expect(status).toMatchObject({
      incoming: null,
      slots: { a: { release: "r1", counter: 2, state: "good" } },
    })
    const deviceId = createDeviceId((await ports.devices.find("press-07")).recipient)
    await direct(ports, plan, before, [{ deviceId, ring: "pilot", run: null }])
    await expect(fleet.sync(await fleet.export("old-key.seal"))).toFailWithCode("METADATA_UNSIGNED")
  })

  test("holds longer after a refresh, and the device fetches nothing again", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    await fleet.deploy("r1")
    fleet.shop.later({ days: 20 })
    await fleet.desk.engine.trust.refresh()
    const status = await fleet.sync(await fleet.export("refreshed.seal"))
    expect(status).toMatchObject({ incoming: null, slots: { a: { expires: "2027-02-23T08:00:00Z" } } })
  })
})

describe("golden outputs in the grant", () => {
  test("let a package through that computes them, and send the device back from one that does not", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { runtime: "real" })
    await fleet.deploy("r1")
    const output = fleet.shop.at("golden.npy")
    await runOn(fleet, null, output)
    const golden = { input: INPUT, output, tolerance: 1e-5 }
    await fleet.release("r2", { golden })
    await fleet.publish("r2")
    await fleet.sync(await fleet.export("r2.seal"))
    expect(await fleet.install()).toMatchObject({ active: "b", slots: { b: { state: "trial" } } })
    await fleet.commit()
    const wrong = fleet.shop.at("wrong.npy")
    copyFileSync(INPUT, wrong)
    await fleet.release("r3", { golden: { ...golden, output: wrong } })
    await fleet.publish("r3")
    await fleet.sync(await fleet.export("r3.seal"))
    await expect(fleet.install()).toFailWithCode("HEALTH_FAILED")
    const { engine } = fleet.device()
    expect(await engine.deployment.status({ device: "press-07" })).toMatchObject({
      active: "b",
      slots: { a: { release: "r3", state: "failed" }, b: { release: "r2", state: "good" } },
    })
    expect((await runOn(fleet, null)).rows).toBeGreaterThan(0)
  })
})
