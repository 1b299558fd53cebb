/** What a device more costs: three requests for its grant, and nothing else that grows with the fleet. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { followJob } from "../../main/contract/client.ts"
import type { Place } from "../../main/contract/schema/registry.ts"
import { generateX25519 } from "../../main/core/age/x25519.ts"
import { binOf, createDeviceId } from "../../main/core/policy/device-id.ts"
import { countingProxy } from "../support/counting-proxy.ts"
import { dockerRegistry, type DockerRegistry } from "../support/docker-registry.ts"
import { SealEditor } from "../support/seal-editor.ts"
import { Fleet } from "../support/shop.ts"
import { keepStranger } from "../support/stranger.ts"
import { sharedFolder, temporaryFolder } from "../support/workspace.ts"

/** More than one statement holds. */
const OTHERS = 130
const folder = sharedFolder()
let registry: DockerRegistry
beforeAll(async () => {
  registry = await dockerRegistry(folder)
  await registry.start()
})
afterAll(async () => registry.kill())

/** A device of which the desk knows only the recipient; in the bin of another one where that is wanted. */
async function addStranger(fleet: Fleet, name: string, bin: string | null = null): Promise<void> {
  const { ports } = fleet.desk
  let { recipient } = generateX25519(ports.random)
  const isWanted = () => bin === null || binOf(createDeviceId(recipient)) === bin
  while (!isWanted()) ({ recipient } = generateX25519(ports.random))
  await keepStranger(ports, name, recipient)
}

const placeAt = (host: string, name: string): Place & { readonly kind: "remote" } => ({
  kind: "remote",
  repository: `${host}/press/${name}`,
  plainHttp: true,
  authority: null,
})

describe("a fleet of many", () => {
  test("is signed in batches, costs three requests a device, and each device finds its own", async () => {
    const proxy = await countingProxy(registry.host)
    onTestFinished(() => proxy.close())
    const fleet = await Fleet.open(temporaryFolder())
    const others = Array.from({ length: OTHERS }, (_, index) => `other-${index}`)
    for (const name of others) await addStranger(fleet, name)
    const names = ["press-07", ...others]
    await fleet.desk.engine.fleet.setRing({ name: "pilot", devices: names })
    const place = placeAt(proxy.host, "many")
    await fleet.release("r1", { devices: names })
    await fleet.publish("r1")
    const file = await fleet.export("r1.seal")
    const editor = await SealEditor.read(file)
    const about = (digest: string) =>
      editor.manifests("sigstore").filter(({ manifest }) => manifest.subject?.digest === digest)
    const [packaged] = editor.manifests("package")
    // The package's own, and two about the grants.
    expect(about(packaged?.digest ?? "")).toHaveLength(3)
    expect(editor.manifests("grant")).toHaveLength(names.length)
    expect(editor.manifests("sigstore")).toHaveLength(3)
    // One for all, and one for each bin at most.
    expect(editor.manifests("trust").length).toBeLessThanOrEqual(17)

    proxy.taken()
    await fleet.push(file, place, "r1")
    const asked = proxy.taken()
    const grants = asked.filter((line) => line.includes("/grants/"))
    // The bytes of two statements, the list they are in, the empty configuration, the list of tags.
    expect(grants.length - 3 * names.length).toBeLessThanOrEqual(20)
    expect(asked.length - grants.length).toBeLessThanOrEqual(200)

    const again = await fleet.push(file, place, "r1")
    expect(again.sentBytes).toBe(0)

    await fleet.provision(file)
    proxy.taken()
    expect((await fleet.sync(place)).incoming).toMatchObject({ release: "r1" })
    // Sixteen documents or one, a hundred grants or one: a device asks for what is its own.
    expect(proxy.taken().length).toBeLessThanOrEqual(40)
    await fleet.install()
    await fleet.commit()
    const { engine } = fleet.device()
    const verdict = await followJob(await engine.deployment.verify({ device: "press-07" }))
    expect(verdict).toMatchObject({ verdict: "verified", name: "r1" })

    const pulled = fleet.shop.at("pulled.seal")
    const output = { file: await fleet.desk.engine.files.refer({ path: pulled }), replace: false }
    const all = { from: place, reference: "r1", grants: { kind: "all" }, output } as const
    expect(await followJob(await fleet.desk.engine.registry.pull(all))).toMatchObject({
      grants: names.length,
      bundles: 3,
    })
    expect((await SealEditor.read(pulled)).manifests("grant")).toHaveLength(names.length)
  }, 240_000)

  test("goes on while others in its bin hear something new", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine, ports } = fleet.desk
    const bin = binOf(createDeviceId((await ports.devices.find("press-07")).recipient))
    await addStranger(fleet, "neighbour", bin)
    await engine.fleet.setRing({ name: "pilot", devices: ["press-07", "neighbour"] })
    await fleet.release("r1", { devices: ["press-07", "neighbour"] })
    await fleet.publish("r1")
    const place = placeAt(registry.host, "neighbours")
    const file = await fleet.export("r1.seal")
    await fleet.push(file, place, "r1")
    await fleet.provision(file)
    await fleet.sync(place)
    await fleet.install()
    await fleet.commit()
    // To another ring, whose package is not in the repository yet.
    await engine.fleet.setRing({ name: "later", devices: ["neighbour"] })
    await fleet.release("r2", { devices: ["press-07", "neighbour"] })
    await fleet.publish("r2", "later")
    await fleet.push(await fleet.export("pilot-again.seal", "pilot"), place, "r1")
    expect(await fleet.sync(place)).toMatchObject({
      incoming: null,
      slots: { a: { release: "r1", counter: 1, state: "good" } },
      result: { code: null },
    })
    expect(await engine.fleet.status()).toMatchObject([
      { device: "neighbour", ring: "later", wanted: "r2", counter: 2 },
      { device: "press-07", ring: "pilot", wanted: "r1", counter: 1 },
    ])
  })
})
