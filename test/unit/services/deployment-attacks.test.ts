/** TUF's list of attacks against a device that only ever sees files; each is named by the code of its refusal. */
import { cpSync, readFileSync, rmSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { followJob } from "../../../main/contract/client.ts"
import { binOf, createDeviceId } from "../../../main/core/policy/device-id.ts"
import { judgeDeployment, type DeviceFacts, type Floors } from "../../../main/core/policy/deployment.ts"
import type { Run } from "../../../main/core/policy/words.ts"
import type { MetadataSource } from "../../../main/core/tuf/client.ts"
import { readSealFile } from "../../../main/core/oci/seal-file.ts"
import { sourceOf } from "../../../main/core/bytes/source.ts"
import { sealSources } from "../../../main/services/deployment/seal-source.ts"
import type { RollbackFloors } from "../../../main/services/ports/floors.ts"
import { direct, lastDirected } from "../../../main/services/release/director.ts"
import { ownKeys } from "../../../main/services/trust/own-keys.ts"
import { currentPlan } from "../../../main/services/trust/publish.ts"
import { nextWords } from "../../support/old-words.ts"
import { Fleet } from "../../support/shop.ts"
import { temporaryFolder } from "../../support/workspace.ts"

describe("a device refuses", () => {
  test("rollback: an export older than the one it saw", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const old = await fleet.deploy("r1")
    await fleet.deploy("r2")
    await expect(fleet.sync(old)).toFailWithCode("METADATA_ROLLBACK")
    const status = await fleet.device().engine.deployment.status({ device: "press-07" })
    expect(status).toMatchObject({ active: "b", result: { what: "sync", code: "METADATA_ROLLBACK" } })
  })

  test("rollback with the whole disk, when the counters are in hardware", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { names: [] })
    await fleet.addDevice("press-07", { floors: countersElsewhere() })
    await fleet.desk.engine.fleet.setRing({ name: "pilot", devices: ["press-07"] })
    const old = await fleet.deploy("r1")
    const { workspace, engine } = fleet.device()
    const image = fleet.shop.at("disk-image")
    cpSync(workspace, image, { recursive: true })
    await fleet.deploy("r2")
    rmSync(workspace, { recursive: true })
    cpSync(image, workspace, { recursive: true })
    await expect(fleet.sync(old)).toFailWithCode("DEPLOYMENT_REPLAYED")
    const verdict = await followJob(await engine.deployment.verify({ device: "press-07" }))
    expect(verdict).toMatchObject({ verdict: "refused" })
    expect(verdict.checks[0]).toMatchObject({ result: "failed", code: "DEPLOYMENT_REPLAYED" })
  })

  test("1,000 old but valid manifests, with everything but the counter forgotten", async () => {
    const { fleet, facts, deviceId } = await published()
    const words = await nextWords(fleet.desk, { deviceId, ring: "pilot", run: null }, 1000)
    const floor = ((await lastDirected(fleet.desk.ports, deviceId))?.counter ?? 0) + words.length + 1
    const refusals = new Map<string, number>()
    for (const word of words) {
      const director = withFiles(facts.director, word)
      const code = await codeOf(judge({ ...facts, director }, { deployment: floor, release: 0 }))
      refusals.set(code, (refusals.get(code) ?? 0) + 1)
    }
    expect([...refusals]).toEqual([["DEPLOYMENT_REPLAYED", 1000]])
    // The newest is at the floor once that is its counter: the check refuses what is below and nothing else.
    const director = withFiles(facts.director, words.at(-1) ?? new Map())
    expect(await codeOf(judge({ ...facts, director }, { deployment: floor - 1, release: 0 }))).toBe(
      "accepted",
    )
  })

  test("freeze: metadata past its end, also with the clock set back", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const file = await fleet.deploy("r1")
    fleet.shop.later({ days: 31 })
    await expect(fleet.sync(file)).toFailWithCode("METADATA_EXPIRED")
    await fleet.desk.engine.trust.refresh()
    await fleet.publish("r1")
    await fleet.sync(await fleet.export("fresh.seal"))
    fleet.shop.later({ days: 29 })
    await fleet.sync(await fleet.export("fresh-again.seal"))
    fleet.shop.later({ days: 2 })
    await expect(fleet.sync(fleet.shop.at("fresh.seal"))).toFailWithCode("METADATA_EXPIRED")
    fleet.shop.later({ days: -40 })
    const { engine } = fleet.device()
    const status = await engine.deployment.status({ device: "press-07" })
    expect(status.isClockBehind).toBe(true)
    // What is kept still holds at the floor; the clock that was set back does not count.
    expect(new Date(status.clockFloor) > fleet.shop.now).toBe(true)
  })

  test("nothing for good after its clock was far ahead once", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const file = await fleet.deploy("r1")
    fleet.shop.later({ days: 3650 })
    await expect(fleet.sync(file)).toFailWithCode("METADATA_EXPIRED")
    fleet.shop.later({ days: -3649 })
    expect((await fleet.sync(file)).result).toMatchObject({ code: null, detail: "nothing new" })
  })

  test("nothing for good after its clock was a year ahead when it was provisioned", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    await fleet.release("r1")
    await fleet.publish("r1")
    const file = await fleet.export("r1.seal")
    fleet.shop.later({ days: 365 })
    await fleet.provision(file)
    await expect(fleet.sync(file)).toFailWithCode("METADATA_EXPIRED")
    fleet.shop.later({ days: -364 })
    expect((await fleet.sync(file)).incoming).toMatchObject({ release: "r1" })
  })

  test("mix-and-match: the director's word with an older list of releases", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const old = await fleet.deploy("r1")
    await fleet.release("r2")
    await fleet.publish("r2")
    const next = await fleet.export("r2.seal")
    const { deviceId } = await fleet.device().engine.deployment.status({ device: "press-07" })
    const before = await factsOf(old, deviceId, fleet.shop.now)
    const after = await factsOf(next, deviceId, fleet.shop.now)
    expect(await codeOf(judge({ ...after, image: before.image }))).toBe("DEPLOYMENT_MISMATCH")
    const swapped = await readSealFile(sourceOf(readFileSync(old)))
    const snapshot = [...swapped.trust.keys()].find((name) => /^devices\/.*snapshot/.test(name))
    const bytes = await before.director.read(path.basename(snapshot ?? ""), 1 << 20)
    const mixed = withFiles(after.director, new Map([["2.snapshot.json", bytes ?? new Uint8Array(0)]]))
    // ECDSA signatures differ in length: a longer document is refused by its size, before it is hashed.
    expect(["METADATA_MISMATCH", "METADATA_TOO_LARGE"]).toContain(
      await codeOf(judge({ ...after, director: mixed })),
    )
  })

  test("a director that was taken over and names what no release manager signed", async () => {
    const { fleet, deviceId } = await published()
    const { ports } = fleet.desk
    const run = (await lastDirected(ports, deviceId))?.run
    if (run === undefined || run === null) throw new Error("the device was told nothing")
    const lie = async (change: Partial<Run>) => {
      const order = { deviceId, ring: "pilot", run: { ...run, ...change } }
      await direct(ports, await currentPlan(ports), await ownKeys(ports), [order])
      return codeOf(judge(await factsOf(await fleet.export("lie.seal"), deviceId, fleet.shop.now)))
    }
    expect(await lie({})).toBe("accepted")
    expect(await lie({ releaseCounter: 99 })).toBe("DEPLOYMENT_MISMATCH")
    expect(await lie({ hardwareIds: ["other"] })).toBe("DEPLOYMENT_MISMATCH")
    expect(await lie({ ociManifest: `sha256:${"0".repeat(64)}` })).toBe("DEPLOYMENT_MISMATCH")
    expect(await lie({ length: run.length + 1 })).toBe("DEPLOYMENT_MISMATCH")
    await ports.documents.write(`tuf/targets/${"0".repeat(64)}`, Buffer.from("{}"))
    expect(await lie({ sha256: "0".repeat(64) })).toBe("DEPLOYMENT_MISMATCH")
  })

  test("software for other hardware, and words for another device", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { names: ["press-07", "press-08"] })
    await fleet.release("r1", { hardwareIds: ["orin"] })
    await fleet.publish("r1")
    const file = await fleet.export("r1.seal")
    await fleet.provision(file, "press-07", "pi5")
    await expect(fleet.sync(file)).toFailWithCode("DEPLOYMENT_NOT_FOR_DEVICE")
    await fleet.provision(file, "press-08", "orin")
    expect((await fleet.sync(file, "press-08")).incoming).toMatchObject({ release: "r1" })
    const [a = "", b = ""] = await Promise.all(
      ["press-07", "press-08"].map(async (name) =>
        createDeviceId((await fleet.desk.ports.devices.find(name)).recipient),
      ),
    )
    const facts = await factsOf(file, b, fleet.shop.now)
    const other = `${binOf(b)}${a.slice(1)}`
    expect(await codeOf(judge({ ...facts, deviceId: other, hardwareId: "orin" }))).toBe(
      "DEPLOYMENT_NOT_FOR_DEVICE",
    )
  })

  test("endless data, garbage and holes instead of metadata", async () => {
    const { facts } = await published()
    const endless: MetadataSource = { read: async (_name, maxBytes) => new Uint8Array(maxBytes + 1) }
    expect(await codeOf(judge({ ...facts, director: endless }))).toBe("METADATA_TOO_LARGE")
    const garbage = withFiles(facts.image, new Map([["timestamp.json", Buffer.from("[]")]]))
    expect(await codeOf(judge({ ...facts, image: garbage }))).toBe("METADATA_MALFORMED")
    const holes: MetadataSource = {
      read: async (name, maxBytes) => (name === "1.root.json" ? facts.image.read(name, maxBytes) : null),
    }
    expect(await codeOf(judge({ ...facts, image: holes }))).toBe("METADATA_MISSING")
  })

  test("signatures below the threshold", async () => {
    const { facts } = await published()
    const bytes = await facts.image.read("timestamp.json", 1 << 20)
    const unsigned = JSON.stringify({ ...JSON.parse(Buffer.from(bytes ?? []).toString()), signatures: [] })
    const image = withFiles(facts.image, new Map([["timestamp.json", Buffer.from(unsigned)]]))
    expect(await codeOf(judge({ ...facts, image }))).toBe("METADATA_UNSIGNED")
  })
})

interface Facts extends Omit<DeviceFacts, "floors"> {
  readonly image: MetadataSource
  readonly director: MetadataSource
}

/** A desk that published `r1` to one device, and what that device would see, having kept nothing but the first roots. */
async function published(): Promise<{
  readonly fleet: Fleet
  readonly facts: Facts
  readonly deviceId: string
}> {
  const fleet = await Fleet.open(temporaryFolder())
  await fleet.release("r1")
  await fleet.publish("r1")
  const deviceId = createDeviceId((await fleet.desk.ports.devices.find("press-07")).recipient)
  return { fleet, deviceId, facts: await factsOf(await fleet.export("r1.seal"), deviceId, fleet.shop.now) }
}

async function factsOf(file: string, deviceId: string, now: Date): Promise<Facts> {
  const source = sourceOf(readFileSync(file))
  const contents = await readSealFile(source, { mayLackPackages: true })
  return { ...sealSources(source, contents, deviceId), deviceId, hardwareId: "any", now }
}

async function judge(facts: Facts, floors: Floors = { deployment: 0, release: 0 }) {
  const view = async (source: MetadataSource, first: MetadataSource) => ({
    trusted: new Map([["root", (await first.read("1.root.json", 1 << 20)) ?? new Uint8Array(0)]]),
    source,
    keep: async () => {},
  })
  return judgeDeployment(
    {
      image: await view(facts.image, facts.image),
      director: await view(facts.director, facts.director),
    },
    { ...facts, floors },
  )
}

async function codeOf(outcome: Promise<unknown>): Promise<string> {
  try {
    await outcome
    return "accepted"
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error)
  }
}

function withFiles(source: MetadataSource, files: ReadonlyMap<string, Uint8Array>): MetadataSource {
  return { read: async (name, maxBytes) => files.get(name) ?? source.read(name, maxBytes) }
}

/** Counters that no copy of a disk holds, as a TPM has them. */
function countersElsewhere(): RollbackFloors {
  let kept: Floors = { deployment: 0, release: 0 }
  return {
    prepare: async () => {},
    level: async () => "hardware",
    read: async () => kept,
    raise: async (_deviceId, floors) => {
      kept = {
        deployment: Math.max(kept.deployment, floors.deployment),
        release: Math.max(kept.release, floors.release),
      }
    },
  }
}
