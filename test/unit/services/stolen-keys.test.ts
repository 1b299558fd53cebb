/** Keys in the wrong hands: below a threshold they open nothing, and what they did with versions is recovered from. */
import { readFileSync, writeFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { binOf, createDeviceId } from "../../../main/core/policy/device-id.ts"
import { REVOKED } from "../../../main/core/policy/release.ts"
import { trustKey, type TrustKey } from "../../../main/core/tuf/key.ts"
import { toSnapshot, toTimestamp } from "../../../main/core/tuf/fresh.ts"
import { toRoot, toTargets, type RolePlan, type Signed } from "../../../main/core/tuf/plan.ts"
import { toMetadataBytes } from "../../../main/core/tuf/signing.ts"
import { lastDirected } from "../../../main/services/release/director.ts"
import { signDocument } from "../../../main/services/trust/own-keys.ts"
import { currentPlan, imageRepository } from "../../../main/services/trust/publish.ts"
import { Fleet, own, role } from "../../support/shop.ts"
import { trustCarrier } from "../../support/trust-carrier.ts"
import { temporaryFolder } from "../../support/workspace.ts"

/** Later than anything that will ever be signed. */
const FAR = 2 ** 31

describe("keys below the threshold", () => {
  test("one of two owners makes no new root, with whatever other keys", async () => {
    const { fleet, file } = await ownedByTwo()
    const mallory = await thief(fleet, "mallory")
    const plan = await currentPlan(fleet.desk.ports)
    const taken: RolePlan = {
      keys: [mallory, await keyOf(fleet, "eve")],
      threshold: 1,
      assurance: "software",
    }
    const next = { ...plan, roles: { ...plan.roles, root: taken, online: taken } }
    const root = toRoot(next, "image", 3, fleet.shop.now)
    for (const names of [["alice"], ["alice", "mallory"], ["mallory", "eve"]])
      await expect(
        bring(fleet, file, { "image/3.root.json": await signed(fleet, root, names) }),
      ).toFailWithCode("METADATA_UNSIGNED")
    const twice = { "image/3.root.json": await signed(fleet, root, ["alice", "alice"]) }
    await expect(bring(fleet, file, twice)).toFailWithCode("METADATA_MALFORMED")
    // The same with both owners is a rotation: what stops it then is only that nobody signed the rest anew.
    const whole = await signed(fleet, toRoot(plan, "image", 3, fleet.shop.now), ["alice", "bob"])
    expect((await bring(fleet, file, { "image/3.root.json": whole })).result.detail).toBe("nothing new")
  })

  test("one of two release managers, with the online and the director's key besides, releases nothing", async () => {
    const { fleet, file } = await ownedByTwo()
    const { ports } = fleet.desk
    const latest = await imageRepository(ports).latest("release-manager")
    const list = signedOf(latest?.bytes ?? new Uint8Array(0))
    const forged = { ...list, version: 2, [REVOKED]: [`sha256:${"1".repeat(64)}`] }
    const half = await listing(fleet, await signed(fleet, forged, ["alice"]))
    await expect(bring(fleet, file, half)).toFailWithCode("METADATA_UNSIGNED")
    const twice = await listing(fleet, await signed(fleet, forged, ["alice", "alice"]))
    await expect(bring(fleet, file, twice)).toFailWithCode("METADATA_MALFORMED")
    const whole = await listing(fleet, await signed(fleet, forged, ["alice", "bob"]))
    expect((await bring(fleet, file, whole)).result).toMatchObject({ code: null, detail: "r1 goes on" })
  })

  test("the owners' delegations cannot be signed by the keys that sign alone", async () => {
    const { fleet, file } = await ownedByTwo()
    const plan = await currentPlan(fleet.desk.ports)
    const mallory = await thief(fleet, "mallory")
    const packager: RolePlan = { keys: [mallory], threshold: 1, assurance: "software" }
    const targets = toTargets({ ...plan, roles: { ...plan.roles, packager } }, 3, fleet.shop.now)
    const bytes = await signed(fleet, targets, ["desk", "alice"])
    const releases = await imageRepository(fleet.desk.ports).latest("release-manager")
    const documents = await listing(fleet, releases?.bytes ?? new Uint8Array(0), bytes)
    await expect(bring(fleet, file, documents)).toFailWithCode("METADATA_UNSIGNED")
  })
})

describe("fast-forward", () => {
  test("with the online key and the director's is recovered from by giving both roles new keys", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const file = await fleet.deploy("r1")
    const { engine, ports } = fleet.desk
    const deviceId = createDeviceId((await ports.devices.find("press-07")).recipient)
    const bin = binOf(deviceId)
    const repositories = [
      ["image", await newest(fleet, "tuf/image", ["targets", "release-manager"])],
      [`devices/${bin}`, await newest(fleet, `tuf/devices/${bin}`, ["targets"])],
    ] as const
    const forged: Record<string, Uint8Array> = {}
    for (const [prefix, listed] of repositories) {
      const ahead = listed.map(({ role: name, version, bytes }) => ({
        role: name,
        version: name === "targets" ? version : FAR,
        bytes,
      }))
      Object.assign(forged, await freshDocuments(fleet, prefix, ahead, FAR))
    }
    await expect(bring(fleet, file, forged)).toFailWithCode("METADATA_MISSING")
    // The device has seen versions that no honest desk will ever reach.
    await fleet.release("r2")
    await fleet.publish("r2")
    await expect(fleet.sync(await fleet.export("r2.seal"))).toFailWithCode("METADATA_ROLLBACK")
    await engine.keys.create({ name: "desk-2", purpose: "signing" })
    const alone = role([own("desk-2")])
    await engine.trust.change({
      kind: "rotate",
      roles: { online: alone, director: alone },
      gates: null,
      offlineDays: null,
    })
    const status = await fleet.sync(await fleet.export("recovered.seal"))
    expect(status).toMatchObject({ incoming: { release: "r2" }, result: { code: null } })
    expect((await lastDirected(ports, deviceId))?.counter).toBeLessThan(FAR)
    // The stolen keys move nothing any more.
    await expect(bring(fleet, fleet.shop.at("recovered.seal"), forged)).toFailWithCode("METADATA_UNSIGNED")
  })
})

/** A device that runs `r1` under a root of two owners, who are the release managers as well. */
async function ownedByTwo(): Promise<{ readonly fleet: Fleet; readonly file: string }> {
  const fleet = await Fleet.open(temporaryFolder())
  const { engine } = fleet.desk
  for (const name of ["bob", "eve"]) await engine.keys.create({ name, purpose: "signing" })
  const both = role([own("alice"), own("bob")], 2)
  await engine.trust.change({
    kind: "rotate",
    roles: { root: both, "release-manager": both },
    gates: null,
    offlineDays: null,
  })
  return { fleet, file: await fleet.deploy("r1") }
}

async function keyOf({ desk }: Fleet, name: string): Promise<TrustKey> {
  const { publicKeyPem } = await desk.engine.keys.show({ name })
  return trustKey(publicKeyPem ?? "", name, "software")
}

async function thief(fleet: Fleet, name: string): Promise<TrustKey> {
  await fleet.desk.engine.keys.create({ name, purpose: "signing" })
  return keyOf(fleet, name)
}

/** With signatures of these keys, also twice of one where it is named twice. */
async function signed(fleet: Fleet, document: Signed, names: readonly string[]): Promise<Uint8Array> {
  const { ports } = fleet.desk
  const signatures = []
  for (const name of names)
    signatures.push(
      await signDocument(ports, await ports.keys.find(name, "signing"), await keyOf(fleet, name), document),
    )
  return toMetadataBytes(document, signatures)
}

function signedOf(bytes: Uint8Array): Signed {
  return (JSON.parse(Buffer.from(bytes).toString("utf8")) as { readonly signed: Signed }).signed
}

interface Listed {
  readonly role: string
  readonly version: number
  readonly bytes: Uint8Array
}

/** Newest documents of a repository of the desk. */
async function newest({ desk }: Fleet, folder: string, roles: readonly string[]): Promise<readonly Listed[]> {
  const names = await desk.ports.documents.list(folder)
  return Promise.all(
    roles.map(async (each) => {
      const versions = names
        .filter((name) => name.endsWith(`.${each}.json`))
        .map((name) => Number.parseInt(name))
      const version = Math.max(...versions)
      const bytes = await desk.ports.documents.read(`${folder}/${version}.${each}.json`)
      return { role: each, version, bytes: bytes ?? new Uint8Array(0) }
    }),
  )
}

/** Snapshot and timestamp over these documents, by the key that signs alone. */
async function freshDocuments(
  fleet: Fleet,
  prefix: string,
  listed: readonly Listed[],
  version: number,
): Promise<Record<string, Uint8Array>> {
  const expires = "2027-02-01T00:00:00Z"
  const snapshot = await signed(fleet, toSnapshot(listed, version, expires), ["desk"])
  const timestamp = await signed(fleet, toTimestamp({ version, bytes: snapshot }, version, expires), ["desk"])
  return { [`${prefix}/${version}.snapshot.json`]: snapshot, [`${prefix}/timestamp.json`]: timestamp }
}

/** Each list comes under a version of its own, later than the desk's. */
let snapshots = 100

/** The image repository with another list of releases, and with other delegations where there are any. */
async function listing(
  fleet: Fleet,
  releases: Uint8Array,
  targets: Uint8Array | null = null,
): Promise<Record<string, Uint8Array>> {
  const found = await newest(fleet, "tuf/image", ["targets"])
  const top = targets === null ? found : [{ role: "targets", version: versionOf(targets), bytes: targets }]
  const listed = [...top, { role: "release-manager", version: versionOf(releases), bytes: releases }]
  return {
    ...(await freshDocuments(fleet, "image", listed, (snapshots += 1))),
    ...Object.fromEntries(
      listed.map(({ role: name, version, bytes }) => [`image/${version}.${name}.json`, bytes]),
    ),
  }
}

function versionOf(bytes: Uint8Array): number {
  return Number(signedOf(bytes)["version"])
}

async function bring(fleet: Fleet, file: string, documents: Readonly<Record<string, Uint8Array>>) {
  const at = fleet.shop.at("brought.seal")
  writeFileSync(at, await trustCarrier(file, new Map(Object.entries(documents))))
  expect(readFileSync(at).length).toBeGreaterThan(0)
  return fleet.sync(at)
}
