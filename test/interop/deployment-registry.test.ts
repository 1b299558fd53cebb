/** A fleet over a real registry: words and packages go out, receipts come back, and looking for news is cheap. */
import { readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest"
import { followJob } from "../../main/contract/client.ts"
import type { DeploymentStatus } from "../../main/contract/schema/deployment.ts"
import type { Place } from "../../main/contract/schema/registry.ts"
import { attestationType } from "../../main/core/attest/statement.ts"
import { bundleManifest } from "../../main/core/oci/manifest.ts"
import { EMPTY_CONFIG, EMPTY_CONFIG_BYTES, MEDIA } from "../../main/core/oci/media-types.ts"
import { createDeviceId } from "../../main/core/policy/device-id.ts"
import { grantsSent } from "../../main/services/release/director.ts"
import { countingProxy } from "../support/counting-proxy.ts"
import { dockerRegistry, type DockerRegistry } from "../support/docker-registry.ts"
import { tokenServer } from "../support/token-server.ts"
import { Fleet } from "../support/shop.ts"
import { sharedFolder, temporaryFolder } from "../support/workspace.ts"

const folder = sharedFolder()
let registry: DockerRegistry
let count = 0
beforeAll(async () => {
  registry = await dockerRegistry(folder)
  await registry.start()
})
afterAll(async () => registry.kill())

const placeAt = (host: string, name = `press/model-${count++}`): Place & { readonly kind: "remote" } => ({
  kind: "remote",
  repository: `${host}/${name}`,
  plainHttp: true,
  authority: null,
})

/** Logins for `host` are kept in a folder of this test alone; the answer puts one there. */
function useLogins(host: string): (login: { readonly username: string; readonly password: string }) => void {
  const folderOfLogins = temporaryFolder()
  vi.stubEnv("DOCKER_CONFIG", folderOfLogins)
  return ({ username, password }) => {
    const auth = Buffer.from(`${username}:${password}`).toString("base64")
    writeFileSync(path.join(folderOfLogins, "config.json"), JSON.stringify({ auths: { [host]: { auth } } }))
  }
}

/** As from a process of its own, which has not signed in and has no token. */
async function syncAnew(fleet: Fleet, from: Place): Promise<DeploymentStatus> {
  const { engine } = fleet.shop.place("press-07")
  return followJob(await engine.deployment.sync({ device: "press-07", from }))
}

describe("a fleet over a registry", () => {
  test("goes out, is installed, and its receipts come back to the grants", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { names: ["press-07", "press-08"] })
    const place = placeAt(registry.host)
    await fleet.release("r1")
    await fleet.publish("r1")
    const first = await fleet.export("r1.seal")
    await fleet.push(first, place, "r1")
    for (const name of ["press-07", "press-08"]) await fleet.provision(first, name)
    expect((await fleet.sync(place)).incoming).toMatchObject({ release: "r1", state: "waiting" })
    await fleet.install()
    await fleet.commit()
    const { engine } = fleet.device()
    const verdict = await followJob(await engine.deployment.verify({ device: "press-07" }))
    expect(verdict).toMatchObject({ verdict: "verified", name: "r1" })
    expect(await fleet.sync(place)).toMatchObject({ receipts: 1, receiptsWaiting: 0 })
    expect(await fleet.desk.engine.fleet.collect({ from: place })).toEqual({
      receipts: [{ device: "press-07", result: "taken", reason: "" }],
    })
    expect(await fleet.desk.engine.fleet.status()).toMatchObject([
      { device: "press-07", state: "current", running: "r1", receipts: { good: 1, refused: 0 } },
      { device: "press-08", state: "no receipt", running: null },
    ])
    await fleet.release("r2")
    await fleet.publish("r2")
    await fleet.push(await fleet.export("r2.seal"), place, "r2")
    expect(await fleet.desk.engine.fleet.status()).toMatchObject([{ state: "behind" }, {}])
    expect((await fleet.sync(place)).incoming).toMatchObject({ release: "r2" })
    // The other device skips a release and loses nothing by it.
    expect((await fleet.sync(place, "press-08")).incoming).toMatchObject({ release: "r2" })
  })

  test("asks at most three times when there is nothing new", async () => {
    const proxy = await countingProxy(registry.host)
    onTestFinished(() => proxy.close())
    const fleet = await Fleet.open(temporaryFolder())
    const place = placeAt(proxy.host)
    await fleet.push(await fleet.deploy("r1"), place, "r1")
    await fleet.sync(place)
    proxy.taken()
    expect((await fleet.sync(place)).result).toMatchObject({ code: null, detail: "nothing new" })
    const asked = proxy.taken()
    expect(asked.map((line) => line.split(" ")[0])).toEqual(["GET", "GET"])
    // What is unchanged ends all the same.
    fleet.shop.later({ days: 31 })
    await expect(fleet.sync(place)).toFailWithCode("METADATA_EXPIRED")
  })

  test("asks at most three times where it has to sign in, and keeps its receipts where it is not let in", async () => {
    const login = { username: "device", password: "for tests only" }
    const guarded = await dockerRegistry(temporaryFolder(), { login })
    await guarded.start()
    try {
      const proxy = await countingProxy(guarded.host)
      onTestFinished(() => proxy.close())
      const place = placeAt(proxy.host)
      const logIn = useLogins(proxy.host)
      const fleet = await Fleet.open(temporaryFolder())
      const file = await fleet.deploy("r1")
      await expect(fleet.sync(place)).toFailWithCode("REGISTRY_UNAUTHORIZED")
      const { engine } = fleet.device()
      expect((await engine.deployment.status({ device: "press-07" })).receiptsWaiting).toBe(1)
      logIn(login)
      await fleet.push(file, place, "r1")
      const sync = async () => syncAnew(fleet, place)
      expect(await sync()).toMatchObject({ receiptsWaiting: 0 })
      proxy.taken()
      expect((await sync()).result.detail).toBe("nothing new")
      expect(proxy.taken().length).toBeLessThanOrEqual(3)
    } finally {
      vi.unstubAllEnvs()
      await guarded.kill()
    }
  })

  test("asks at most three times where it needs a token, counting what it asks the token server", async () => {
    const login = { username: "device", password: "for tests only" }
    const tokens = await tokenServer(temporaryFolder(), login)
    const guarded = await dockerRegistry(temporaryFolder(), { token: tokens.settings })
    await guarded.start()
    try {
      const proxy = await countingProxy(guarded.host)
      onTestFinished(() => proxy.close())
      const place = placeAt(proxy.host)
      useLogins(proxy.host)(login)
      const fleet = await Fleet.open(temporaryFolder())
      await fleet.push(await fleet.deploy("r1"), place, "r1")
      const sync = async () => syncAnew(fleet, place)
      expect(await sync()).toMatchObject({ receiptsWaiting: 0 })
      proxy.taken()
      tokens.taken()
      expect((await sync()).result.detail).toBe("nothing new")
      expect([proxy.taken().length, tokens.taken()]).toEqual([2, 1])
    } finally {
      vi.unstubAllEnvs()
      tokens.close()
      await guarded.kill()
    }
  })

  test("is not taken back by an older export, and a device would not have followed", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const place = placeAt(registry.host)
    const old = await fleet.deploy("r1")
    await fleet.push(await fleet.deploy("r2"), place, "r2")
    await expect(fleet.push(old, place, "r1")).toFailWithCode("METADATA_ROLLBACK")
    expect((await fleet.sync(place)).result.detail).toBe("nothing new")
    const elsewhere = placeAt(registry.host)
    await fleet.push(old, elsewhere, "r1")
    await expect(fleet.sync(elsewhere)).toFailWithCode("METADATA_ROLLBACK")
  })

  test("counts what others attach to a grant as refused receipts of that device", async () => {
    const fleet = await Fleet.open(temporaryFolder(), { names: ["press-07", "press-08"] })
    const place = placeAt(registry.host)
    const file = await fleet.deploy("r1")
    await fleet.push(file, place, "r1")
    await fleet.provision(file, "press-08")
    await fleet.sync(place)
    await fleet.desk.engine.fleet.collect({ from: place })
    // A receipt key that is not the device's: the same receipts do not count any more.
    const pem = readFileSync(fleet.shop.at("press-08-receipts.pem"), "utf8")
    const { ports } = fleet.desk
    const deviceId = createDeviceId((await ports.devices.find("press-07")).recipient)
    await ports.documents.write(`receipt-keys/${deviceId}.pem`, Buffer.from(pem))
    expect(await fleet.desk.engine.fleet.collect({ from: place })).toMatchObject({
      receipts: [{ device: "press-07", result: "refused" }],
    })
    expect((await fleet.desk.engine.fleet.status())[0]).toMatchObject({ receipts: { good: 1, refused: 1 } })
  })

  test("refuses what claims to be a receipt and cannot be read, and still takes the others", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const place = placeAt(registry.host)
    await fleet.push(await fleet.deploy("r1"), place, "r1")
    const { ports } = fleet.desk
    const grants = ports.registries.open(place, new AbortController().signal).below("grants")
    const deviceId = createDeviceId((await ports.devices.find("press-07")).recipient)
    const [grant = ""] = (await grantsSent(ports)).get(deviceId) ?? []
    const subject = await grants.manifest(grant)
    if (subject === null) throw new Error("the grant is not there")
    await grants.putBlob(EMPTY_CONFIG, { kind: "bytes", bytes: EMPTY_CONFIG_BYTES })
    // Nothing, said to be a bundle of five megabytes.
    const lie = { mediaType: MEDIA.bundle, digest: EMPTY_CONFIG.digest, size: 5 << 20 }
    const type = attestationType("receipt")
    await grants.putManifest(bundleManifest(subject.descriptor, lie, type, "2026-01-01T00:00:00.000Z"), null)
    await fleet.sync(place)
    const { receipts } = await fleet.desk.engine.fleet.collect({ from: place })
    expect(receipts.map(({ result }) => result).toSorted()).toEqual(["refused", "taken"])
    expect((await fleet.desk.engine.fleet.status())[0]).toMatchObject({ receipts: { good: 1, refused: 1 } })
  })

  test("works over a folder as well, and pull brings the trust metadata into a file", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const file = await fleet.deploy("r1")
    const at = {
      kind: "folder",
      folder: await fleet.desk.engine.files.refer({ path: fleet.shop.at("oci") }),
    } as const
    await fleet.push(file, at, "r1")
    const there = {
      kind: "folder",
      folder: await fleet.device().engine.files.refer({ path: fleet.shop.at("oci") }),
    } as const
    expect((await fleet.sync(there)).result.detail).toBe("nothing new")
    expect(await fleet.desk.engine.fleet.collect({ from: at })).toMatchObject({
      receipts: [{ result: "taken" }],
    })
    const pulled = fleet.shop.at("pulled.seal")
    const output = { file: await fleet.desk.engine.files.refer({ path: pulled }), replace: false }
    const request = { from: at, reference: "r1", grants: { kind: "all" }, output } as const
    expect(await followJob(await fleet.desk.engine.registry.pull(request))).toMatchObject({
      packages: 1,
      grants: 1,
    })
    expect((await fleet.sync(pulled)).result.detail).toBe("nothing new")
  })
})
