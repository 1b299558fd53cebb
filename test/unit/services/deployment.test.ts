/** From a desk to devices and back, by files only: releases, rings, slots, receipts. */
import { existsSync, readdirSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { followJob } from "../../../main/contract/client.ts"
import { Fleet } from "../../support/shop.ts"
import { DATA, temporaryFolder } from "../../support/workspace.ts"

const receiptsBack = async (fleet: Fleet, name = "press-07") => {
  const { engine } = fleet.device(name)
  const at = fleet.shop.at(`${name}.receipts.seal`)
  const output = { file: await engine.files.refer({ path: at }), replace: true }
  await engine.deployment.receipts({ device: name, output })
  return fleet.desk.engine.fleet.import({ file: await fleet.desk.engine.files.refer({ path: at }) })
}

describe("a release", () => {
  test("goes out only through its gates, and its state follows from what is signed", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine } = fleet.desk
    await engine.trust.change({
      kind: "rotate",
      roles: {},
      gates: { approvals: 1, validation: "none" },
      offlineDays: null,
    })
    expect(await fleet.release("r1")).toMatchObject({
      state: "approved",
      counter: null,
      devices: ["press-07"],
    })
    const published = await fleet.publish("r1")
    expect(published).toMatchObject({ counter: 1, devices: 1, expires: "2027-02-03T08:00:00Z" })
    expect(await engine.release.show({ name: "r1" })).toMatchObject({ state: "released", rings: ["pilot"] })
    await fleet.release("r2")
    const second = await engine.release.show({ name: "r2" })
    expect(second.previous).toBe("r1")
    expect(second.changes.map(({ what }) => what)).toContain("packages")
    await fleet.publish("r2")
    expect((await engine.release.list()).map(({ name, state }) => [name, state])).toEqual([
      ["r1", "retired"],
      ["r2", "released"],
    ])
  })

  test("stays in while validation or approvals are missing", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine } = fleet.desk
    await engine.keys.create({ name: "bob", purpose: "signing" })
    await engine.trust.change({
      kind: "add-key",
      role: "approver",
      signer: { kind: "own", name: "bob", person: null },
      threshold: null,
    })
    await engine.trust.change({
      kind: "rotate",
      roles: {},
      gates: { approvals: 2, validation: "any" },
      offlineDays: null,
    })
    await fleet.release("r1")
    const again = await engine.release.approve({ name: "r1", key: "alice" })
    expect(again.state).toBe("draft")
    expect(again.gates.filter(({ isOpen }) => !isOpen).map(({ gate }) => gate)).toEqual([
      "validation",
      "approvals",
    ])
    await expect(fleet.publish("r1")).toFailWithCode("RELEASE_GATE")
    await expect(engine.release.approve({ name: "r1", key: "press" })).toFailWithCode("ROLE_MISSING")
    const other = `sha256:${"0".repeat(64)}`
    await expect(engine.release.approve({ name: "r1", key: "bob", digest: other })).toFailWithCode(
      "RELEASE_CHANGED",
    )
    await engine.release.approve({ name: "r1", key: "bob", digest: again.digest })
    await expect(fleet.publish("r1")).toFailWithCode("RELEASE_GATE")
    await fleet.attachValidation("r1", { passed: false })
    await expect(fleet.publish("r1")).toFailWithCode("RELEASE_GATE")
    await fleet.attachValidation("r1", { passed: true, signer: "desk" })
    await expect(fleet.publish("r1")).toFailWithCode("RELEASE_GATE")
    await fleet.attachValidation("r1", { passed: true })
    expect((await fleet.publish("r1")).counter).toBe(1)
  })
})

describe("a device", () => {
  test("verifies, installs and commits, and its receipt says so at the desk", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { runtime: "real" })
    await fleet.release("r1")
    await fleet.publish("r1")
    const file = await fleet.export("r1.seal")
    const pinned = await fleet.provision(file)
    const { roots } = await fleet.desk.engine.trust.show()
    expect([pinned.imageRoot, pinned.directorRoot]).toEqual([roots?.image.sha256, roots?.director.sha256])
    expect(await fleet.sync(file)).toMatchObject({
      active: null,
      incoming: { release: "r1", state: "waiting" },
    })
    expect(await fleet.install()).toMatchObject({ active: "a", slots: { a: { state: "trial" } } })
    expect((await fleet.desk.engine.fleet.status())[0]).toMatchObject({ state: "no receipt", wanted: "r1" })
    expect(await fleet.commit()).toMatchObject({
      slots: { a: { state: "good" } },
      floors: { deployment: 1, release: 1, level: "software" },
    })
    const { engine } = fleet.device()
    const verdict = await followJob(await engine.deployment.verify({ device: "press-07" }))
    expect(verdict.checks.filter(({ result }) => result !== "passed")).toEqual([])
    expect(verdict).toMatchObject({ verdict: "verified", name: "r1" })
    expect(await receiptsBack(fleet)).toEqual({
      receipts: [{ device: "press-07", result: "taken", reason: "" }],
    })
    expect(await receiptsBack(fleet)).toMatchObject({ receipts: [{ result: "known" }] })
    expect((await fleet.desk.engine.fleet.status())[0]).toMatchObject({ state: "current", running: "r1" })
  })

  test("keeps its packages encrypted and drops those it no longer needs", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    for (const name of ["r1", "r2", "r3"]) await fleet.deploy(name) // the third takes the slot of the first
    const slots = path.join(fleet.device().workspace, "slots")
    expect(readdirSync(slots)).toHaveLength(2)
    const status = await fleet.device().engine.deployment.status({ device: "press-07" })
    expect([status.slots.a?.release, status.slots.b?.release]).toEqual(["r3", "r2"])
    expect(existsSync(path.join(slots, status.slots.a?.file ?? ""))).toBe(true)
  })

  test("returns to the last good slot by itself when the new package is not healthy", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { runtime: "real" })
    await fleet.deploy("r1")
    await fleet.release("r2")
    await fleet.publish("r2")
    await fleet.sync(await fleet.export("r2.seal"))
    const { engine } = fleet.device()
    const input = await engine.files.refer({ path: path.join(DATA, "digits-calib-x.npy") })
    const output = await engine.files.refer({ path: path.join(DATA, "digits-calib-x.npy") })
    await expect(fleet.install("press-07", { input, output, tolerance: 1e-6 })).toFailWithCode(
      "HEALTH_FAILED",
    )
    const status = await engine.deployment.status({ device: "press-07" })
    expect(status).toMatchObject({
      active: "a",
      slots: { a: { release: "r1", state: "good" }, b: { release: "r2", state: "failed" } },
      floors: { deployment: 1 },
    })
    await receiptsBack(fleet)
    expect((await fleet.desk.engine.fleet.status())[0]).toMatchObject({ state: "failed", running: "r1" })
    const verdict = await followJob(await engine.deployment.verify({ device: "press-07" }))
    expect(verdict.verdict).toBe("verified")
  })

  test("goes back during a trial, and after a commit only where the director sends it", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    await fleet.deploy("r1")
    await fleet.release("r2")
    await fleet.publish("r2")
    const file = await fleet.export("r2.seal")
    await fleet.sync(file)
    await fleet.install()
    const { engine } = fleet.device()
    expect(await engine.deployment.rollback({ device: "press-07" })).toMatchObject({ active: "a" })
    await fleet.sync(file)
    await fleet.install()
    await fleet.commit()
    await expect(engine.deployment.rollback({ device: "press-07" })).toFailWithCode("DEPLOYMENT_REPLAYED")
    const again = await followJob(await fleet.desk.engine.release.rollback({ ring: "pilot", to: "r1" }))
    expect(again).toMatchObject({ release: "r1.again-3", counter: 3 })
    await fleet.sync(await fleet.export("r3.seal"))
    expect(await engine.deployment.rollback({ device: "press-07" })).toMatchObject({
      active: "a",
      slots: { a: { release: "r1.again-3", state: "good" } },
      floors: { deployment: 3, release: 3 },
    })
  })

  test("refuses a revoked package and runs nothing once it is revoked itself", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    await fleet.deploy("r1")
    const { engine } = fleet.desk
    const { packages } = await engine.release.show({ name: "r1" })
    await engine.release.revoke({ kind: "package", digest: packages[0] ?? "" })
    expect(await engine.release.show({ name: "r1" })).toMatchObject({ state: "revoked" })
    await expect(fleet.sync(await fleet.export("revoked.seal"))).toFailWithCode("PACKAGE_REVOKED")
    await engine.release.revoke({ kind: "device", name: "press-07" })
    const status = await fleet.sync(await fleet.export("nothing.seal"))
    expect(status.result.detail).toBe("nothing to run here")
    const verdict = await followJob(await fleet.device().engine.deployment.verify({ device: "press-07" }))
    expect(verdict).toMatchObject({
      verdict: "refused",
      checks: [{ code: "DEPLOYMENT_NONE" }, {}, {}, {}, {}, {}, {}, {}],
    })
  })
})
