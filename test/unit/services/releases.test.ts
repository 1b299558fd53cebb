/** What a release manager sees and does: what changed, rings, what is taken back, and how long words hold. */
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { followJob } from "../../../main/contract/client.ts"
import { SealEditor } from "../../support/seal-editor.ts"
import { Fleet, outputOf, own, publicKeyOf, role, type Place } from "../../support/shop.ts"
import { MODELS, temporaryFolder } from "../../support/workspace.ts"

const changesOf = async (fleet: Fleet, name: string) => {
  const { changes } = await fleet.desk.engine.release.show({ name })
  return new Map(changes.map(({ what, before, after }) => [what, [before, after] as const]))
}

describe("an approver", () => {
  test("sees the model, its accuracy and latency, the policy and the devices, each before and after", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { names: ["press-07", "press-08"] })
    const rules = fleet.shop.at("policy.json")
    writeFileSync(rules, JSON.stringify({ notAfter: "2028-01-01T00:00:00Z" }))
    const measured = (accuracy: number, p50: number) => ({
      accuracy: { kind: "accuracy", plain: accuracy, sealed: accuracy },
      latencyMs: { plain: { p50 }, sealed: { p50 } },
    })
    await fleet.release("r1", { devices: ["press-07"] })
    await fleet.attachValidation("r1", { passed: true, measured: measured(0.97, 1.5) })
    const first = await changesOf(fleet, "r1")
    const model = first.get("model")?.[1] ?? ""
    expect(model).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(first.get("devices")).toEqual(["", "press-07"])
    await expect(fleet.publish("r1")).toFailWithCode("PACKAGE_NOT_FOR_DEVICE")
    await fleet.desk.engine.fleet.setRing({ name: "pilot", devices: ["press-07"] })
    await fleet.publish("r1")

    // The same model for the same device: a package is new each time it is made, nothing else is.
    await fleet.release("same", { devices: ["press-07"] })
    await fleet.attachValidation("same", { passed: true, measured: measured(0.97, 1.5) })
    expect([...(await changesOf(fleet, "same")).keys()]).toEqual(["packages"])

    await fleet.release("other", { model: path.join(MODELS, "wine-linear.onnx"), policy: rules })
    await fleet.attachValidation("other", { passed: true, measured: measured(0.98, 2.25) })
    const changes = await changesOf(fleet, "other")
    expect(changes.get("model")?.[0]).toBe(model)
    expect(changes.get("model")?.[1]).not.toBe(model)
    expect(changes.get("devices")).toEqual(["press-07", "press-07, press-08"])
    expect(changes.get("accuracy")).toEqual(["accuracy 0.97 (plain 0.97)", "accuracy 0.98 (plain 0.98)"])
    expect(changes.get("latency")).toEqual(["p50 1.50 ms (plain 1.50 ms)", "p50 2.25 ms (plain 2.25 ms)"])
    const [before, after] = changes.get("policy") ?? []
    expect(JSON.parse(before ?? "")).toMatchObject({ notAfter: null })
    expect(JSON.parse(after ?? "")).toMatchObject({ notAfter: "2028-01-01T00:00:00Z" })
  })

  test("counts no longer once the key is taken from the trust root", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine } = fleet.desk
    await engine.keys.create({ name: "bob", purpose: "signing" })
    await engine.trust.change({ kind: "add-key", role: "approver", signer: own("bob"), threshold: null })
    await fleet.release("r1")
    // She is the only owner of the root as well.
    await expect(engine.release.revoke({ kind: "key", key: "alice" })).toFailWithCode("TRUST_INVALID")
    await engine.trust.change({ kind: "remove-key", role: "approver", key: "alice", threshold: null })
    await expect(fleet.publish("r1")).toFailWithCode("RELEASE_GATE")
    await engine.release.approve({ name: "r1", key: "bob" })
    expect((await fleet.publish("r1")).devices).toBe(1)
  })
})

describe("an approver in another place", () => {
  test("reads what changed from a file, signs it there, and the desk takes the approval in", async () => {
    const { fleet, bob, request } = await asked()
    const { engine } = fleet.desk
    const { gates: _gates, ...seen } = await bob.engine.release.lookAtApproval({
      request: await bob.engine.files.refer({ path: request }),
    })
    expect(await engine.release.show({ name: "r1" })).toMatchObject(seen)
    expect(seen.changes.map(({ what }) => what)).toContain("model")
    await expect(fleet.publish("r1")).toFailWithCode("RELEASE_GATE")
    expect(await sign(bob, request, "bob", seen.digest)).toMatchObject({ release: "r1", key: "bob" })
    await attach(fleet, "r1", "bob")
    expect(await fleet.publish("r1")).toMatchObject({ counter: 1 })
  })

  test("signs no other release than the one that was looked at, and none that does not match its list", async () => {
    const { bob, fleet, request } = await asked()
    const other = `sha256:${"0".repeat(64)}`
    await expect(sign(bob, request, "bob", other)).toFailWithCode("RELEASE_CHANGED")
    const text = readFileSync(request, "utf8")
    const { release } = JSON.parse(text) as { release: { digest: string; packages: string[] } }
    for (const [index, lie] of [
      text.replace(release.digest, other),
      text.replaceAll(release.packages[0] ?? "", other),
      text.replace('"packages": [', `"packages": ["${other}", `),
      "{}",
    ].entries()) {
      const file = fleet.shop.at(`lie-${index}.json`)
      writeFileSync(file, lie)
      await expect(sign(bob, file, "bob", null)).toFailWithCode("REQUEST_MALFORMED")
    }
  })

  test("opens no gate with a key that is no approver's, or with an approval of something else", async () => {
    const { bob, fleet, request } = await asked()
    await bob.engine.keys.create({ name: "mallory", purpose: "signing" })
    await sign(bob, request, "mallory", null)
    await attach(fleet, "r1", "mallory")
    await expect(fleet.publish("r1")).toFailWithCode("RELEASE_GATE")
    await sign(bob, request, "bob", null)
    await fleet.release("r2")
    await expect(attach(fleet, "r2", "bob")).toFailWithCode("SIGNATURE_MISMATCH")
    await expect(fleet.publish("r2")).toFailWithCode("RELEASE_GATE")
  })

  /** Two approvals are needed; bob, who has one of the keys, works elsewhere. */
  async function asked() {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine } = fleet.desk
    const bob = fleet.shop.place("bob")
    await bob.engine.keys.create({ name: "bob", purpose: "signing" })
    const approver = role([own("alice"), await publicKeyOf(bob, "bob", fleet.desk)], 1)
    const gates = { approvals: 2, validation: "none" } as const
    await engine.trust.change({ kind: "rotate", roles: { approver }, gates, offlineDays: null })
    await fleet.release("r1")
    const request = fleet.shop.at("r1.request.json")
    await engine.release.requestApproval({ name: "r1", output: await outputOf(fleet.desk, request) })
    return { fleet, bob, request }
  }

  async function sign(place: Place, request: string, key: string, digest: string | null) {
    return place.engine.release.signApproval({
      request: await place.engine.files.refer({ path: request }),
      key,
      digest,
      output: await outputOf(place, path.join(path.dirname(request), `${key}.approval.json`)),
    })
  }

  async function attach({ desk, shop }: Fleet, name: string, key: string) {
    const bundle = await desk.engine.files.refer({ path: shop.at(`${key}.approval.json`) })
    return desk.engine.release.attach({ name, bundles: [bundle] })
  }
})

describe("a release", () => {
  test("stays in when somebody who is no packager made its package", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    await fleet.desk.engine.keys.create({ name: "mallory", purpose: "signing" })
    const { gates } = await fleet.release("r1", { signingKey: "mallory" })
    expect(gates.map(({ gate, isOpen }) => [gate, isOpen])).toEqual([
      ["signatures", false],
      ["validation", true],
      ["approvals", true],
    ])
    await expect(fleet.publish("r1")).toFailWithCode("RELEASE_GATE")
  })

  test("is promoted to one more ring once it is out, under the same counter", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { names: ["press-07", "press-08"] })
    const { engine } = fleet.desk
    await engine.fleet.setRing({ name: "pilot", devices: ["press-07"] })
    await engine.fleet.setRing({ name: "all", devices: ["press-07", "press-08"] })
    await fleet.release("r1")
    const promote = async () => followJob(await engine.release.promote({ name: "r1", ring: "all" }))
    await expect(promote()).toFailWithCode("RELEASE_GATE")
    await fleet.publish("r1")
    expect(await promote()).toMatchObject({ counter: 1, ring: "all", devices: 2 })
    expect(await engine.fleet.status()).toMatchObject([
      { device: "press-07", ring: "all", counter: 2, wanted: "r1" },
      { device: "press-08", ring: "all", counter: 1, wanted: "r1" },
    ])
  })
})

describe("what is taken back", () => {
  test("a packager's key: its packages are refused by the desk and by devices that run them", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine } = fleet.desk
    await fleet.deploy("r1")
    await engine.keys.create({ name: "press-2", purpose: "signing" })
    await engine.trust.change({ kind: "add-key", role: "packager", signer: own("press-2"), threshold: null })
    expect(await engine.release.revoke({ kind: "key", key: "press" })).toEqual({
      what: "key press",
      pending: null,
    })
    await fleet.release("r2")
    await expect(fleet.publish("r2")).toFailWithCode("RELEASE_GATE")
    await fleet.sync(await fleet.export("revoked.seal"))
    const { engine: device } = fleet.device()
    const verdict = await followJob(await device.deployment.verify({ device: "press-07" }))
    expect(verdict.verdict).toBe("refused")
    expect(verdict.checks.find(({ result }) => result === "failed")).toMatchObject({
      id: "signatures",
      code: "SIGNER_UNTRUSTED",
    })
    // What the new key packs reaches the device.
    await fleet.release("r3", { signingKey: "press-2" })
    await fleet.publish("r3")
    expect((await fleet.sync(await fleet.export("r3.seal"))).incoming).toMatchObject({ release: "r3" })
  })

  test("a device: the next release to its ring does not reach it, until somebody puts it back", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { names: ["press-07", "press-08"] })
    const { engine } = fleet.desk
    await fleet.release("r1")
    await fleet.publish("r1")
    expect(await engine.release.revoke({ kind: "device", name: "press-07" })).toMatchObject({
      what: "device press-07, out of ring pilot",
    })
    expect(await engine.fleet.rings()).toEqual([{ name: "pilot", devices: ["press-08"] }])
    await fleet.release("r2")
    await fleet.publish("r2")
    await engine.trust.refresh()
    expect(await engine.fleet.status()).toMatchObject([
      { device: "press-07", wanted: null, state: "nothing directed" },
      { device: "press-08", wanted: "r2" },
    ])
    await engine.fleet.setRing({ name: "pilot", devices: ["press-07", "press-08"] })
    await fleet.publish("r2")
    expect((await engine.fleet.status())[0]).toMatchObject({ device: "press-07", wanted: "r2" })
  })

  test("no more than was named: a beginning of several ids names no key, and no threshold sinks by itself", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine } = fleet.desk
    const names = Array.from({ length: 17 }, (_, index) => `erin-${index}`)
    for (const name of names) await engine.keys.create({ name, purpose: "signing" })
    const many = {
      auditor: role(
        names.map((name) => own(name)),
        1,
      ),
    }
    await engine.trust.change({ kind: "rotate", roles: many, gates: null, offlineDays: null })
    const auditors = async () =>
      (await engine.trust.show()).roles.find((each) => each.role === "auditor")?.keys ?? []
    const ids = (await auditors()).map(({ keyId }) => keyId)
    // Seventeen ids, sixteen digits: two begin alike.
    const shared = ids.map((id) => id.slice(0, 1)).find((digit, index, all) => all.indexOf(digit) !== index)
    await expect(engine.release.revoke({ kind: "key", key: shared ?? "" })).toFailWithCode("TRUST_INVALID")
    expect(await auditors()).toHaveLength(17)
    await engine.release.revoke({ kind: "key", key: ids[0]?.slice(0, 32) ?? "" })
    expect(await auditors()).toHaveLength(16)
    const pair = role([own("erin-1"), own("erin-2")], 2)
    await engine.trust.change({ kind: "rotate", roles: { auditor: pair }, gates: null, offlineDays: null })
    await expect(engine.release.revoke({ kind: "key", key: "erin-1" })).toFailWithCode("TRUST_INVALID")
    const said = { kind: "remove-key", role: null, key: "erin-1", threshold: 1 } as const
    await engine.trust.change(said)
    expect(await auditors()).toMatchObject([{ person: "erin-2" }])
  })
})

describe("what is carried to one device", () => {
  test("holds its package and grant alone, and every root there ever was", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { names: ["press-07", "press-08"] })
    const { engine } = fleet.desk
    await fleet.release("r1", { mode: "individual" })
    await fleet.publish("r1")
    const first = await fleet.export("r1.seal")
    await fleet.provision(first)
    await fleet.sync(first)
    for (const key of ["desk-2", "desk-3", "desk-4"]) {
      await engine.keys.create({ name: key, purpose: "signing" })
      const alone = role([own(key)])
      const roles = { online: alone, director: alone }
      await engine.trust.change({ kind: "rotate", roles, gates: null, offlineDays: null })
    }
    await fleet.release("r2", { mode: "individual" })
    await fleet.publish("r2")
    const at = fleet.shop.at("one.seal")
    const scope = { kind: "device", device: "press-07" } as const
    const order = { scope, output: await outputOf(fleet.desk, at) }
    expect(await followJob(await engine.fleet.export(order))).toMatchObject({ devices: 1, packages: 1 })
    const editor = await SealEditor.read(at)
    expect([editor.manifests("package").length, editor.manifests("grant").length]).toEqual([1, 1])
    const titles = editor
      .manifests("trust")
      .flatMap(({ manifest }) => manifest.layers)
      .map(({ annotations }) => annotations?.["org.opencontainers.image.title"] ?? "")
    for (const repository of ["image", "director"])
      expect(
        titles.filter((title) => title.startsWith(repository) && title.endsWith(".root.json")),
      ).toHaveLength(4)
    // A device that only ever saw the first roots follows all of them.
    expect((await fleet.sync(at)).incoming).toMatchObject({ release: "r2" })
  })
})

describe("receipts that fail", () => {
  test("are told with their reason and the device they say they are of, until its key is known", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine, ports, workspace } = fleet.desk
    await fleet.deploy("r1")
    const keys = path.join(workspace, "documents", "receipt-keys")
    const [key = ""] = readdirSync(keys)
    renameSync(path.join(keys, key), fleet.shop.at("kept.pem"))
    const place = fleet.device()
    const at = fleet.shop.at("back.seal")
    await place.engine.deployment.receipts({ device: "press-07", output: await outputOf(place, at) })
    const take = async () => engine.fleet.import({ file: await engine.files.refer({ path: at }) })
    const refused = { device: "press-07", result: "refused" }
    expect((await take()).receipts).toMatchObject([refused])
    expect((await take()).receipts).toMatchObject([refused])
    expect(await engine.fleet.status()).toMatchObject([
      {
        state: "no receipt",
        receipts: {
          good: 0,
          refused: 1,
          refusals: [{ code: "SIGNER_UNTRUSTED", at: fleet.shop.now.toISOString() }],
        },
      },
    ])
    const known = await engine.files.refer({ path: fleet.shop.at("kept.pem") })
    await engine.fleet.trustReceipts({ device: "press-07", key: known })
    expect((await take()).receipts).toMatchObject([{ device: "press-07", result: "taken" }])
    expect(await engine.fleet.status()).toMatchObject([
      { state: "current", receipts: { good: 1, refused: 0, refusals: [] } },
    ])
    expect(await ports.documents.list("receipts-refused/unknown")).toEqual([])
  })
})

describe("words hold as long as is said", () => {
  test("a release that is out for weeks is promoted for the full time", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    await fleet.deploy("r1")
    fleet.shop.later({ days: 20 })
    const { expires } = await fleet.publish("r1")
    expect(expires).toBe("2027-02-23T08:00:00Z")
    const status = await fleet.sync(await fleet.export("again.seal"))
    expect(status.slots.a?.expires).toBe(expires)
    expect((await fleet.desk.engine.trust.show()).freshUntil).toBe(expires)
  })

  test("the list of releases ends too, and that is told before", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine } = fleet.desk
    await fleet.deploy("r1")
    fleet.shop.later({ days: 350 })
    const { expires } = await fleet.publish("r1")
    expect(expires).toBe("2028-01-04T08:00:00Z") // a year after it was signed, not thirty days from now
    expect((await engine.trust.show()).freshUntil).toBe(expires)
    const status = await fleet.sync(await fleet.export("again.seal"))
    expect(status.slots.a?.expires).toBe(expires)
    await engine.trust.change({ kind: "rotate", roles: {}, gates: null, offlineDays: null })
    expect((await fleet.publish("r1")).expires).toBe("2028-01-19T08:00:00Z")
  })
})
