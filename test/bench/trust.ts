/** What trust costs: the verdict on a large offline bundle, and a ring of a thousand devices through a registry. */
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import path from "node:path"
import { followJob, type HostClient } from "../../main/contract/client.ts"
import type { Place } from "../../main/contract/schema/registry.ts"
import { generateX25519 } from "../../main/core/age/x25519.ts"
import { parseTrustedKeys } from "../../main/core/attest/trust.ts"
import { MEDIA } from "../../main/core/oci/media-types.ts"
import { readSealFile } from "../../main/core/oci/seal-file.ts"
import { readSealManifests } from "../../main/core/oci/seal-manifests.ts"
import { localEngine } from "../../main/contract/server.ts"
import { openRegular } from "../../main/platform/files.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { createEngine } from "../../main/services/engine.ts"
import { readSignatures, recipientTypes } from "../../main/services/package-access.ts"
import { countingProxy } from "../support/counting-proxy.ts"
import { dockerRegistry } from "../support/docker-registry.ts"
import { writeLargeModel } from "../support/large-model.ts"
import { own, role } from "../support/shop.ts"
import { keepStranger } from "../support/stranger.ts"
import { MODELS, ROOT } from "../support/workspace.ts"
import { median, type Bench, type Figure } from "./bench.ts"

const DEVICES = 1000
const ROUNDS = 3
const BIN = path.join(ROOT, "main", "cli", "bin.mjs")

export const trustBenches: readonly Bench[] = [
  { name: "trust", run: async (report) => inFolder(async (folder) => bundle(folder, report)) },
  { name: "trust-ring", run: async (report) => inFolder(async (folder) => ring(folder, report)) },
]

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync("/dev/shm/sealwright-bench-")
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

type Report = (figure: Figure) => void

/** A desk with a trust root whose keys are all here. */
async function openDesk(workspace: string) {
  const { ports, close } = localPorts(workspace)
  const engine = localEngine(createEngine(ports))
  for (const name of ["alice", "press", "desk"]) await engine.keys.create({ name, purpose: "signing" })
  const roles = {
    root: role([own("alice")]),
    "release-manager": role([own("alice")]),
    approver: role([own("alice")]),
    packager: role([own("press")]),
    online: role([own("desk")]),
    director: role([own("desk")]),
  }
  await engine.trust.init({ roles, gates: { approvals: 1, validation: "none" }, offlineDays: 30 })
  return { engine, ports, close }
}

async function release(
  engine: HostClient,
  folder: string,
  model: string,
  devices: readonly string[],
  name: string,
) {
  const seal = path.join(folder, `${name}.package.seal`)
  await followJob(
    await engine.protect({
      model: await engine.files.refer({ path: model }),
      devices: [...devices],
      signingKey: "press",
      escrow: [],
      mode: "fleet",
      mark: null,
      output: { file: await engine.files.refer({ path: seal }), replace: true },
    }),
  )
  const packages = [await engine.files.refer({ path: seal })]
  await followJob(await engine.release.create({ name, packages, hardwareIds: [] }))
  rmSync(seal)
  await engine.release.approve({ name, key: "alice" })
  await engine.fleet.setRing({ name: "pilot", devices: [...devices] })
}

async function exportRing(engine: HostClient, file: string): Promise<void> {
  const scope = { kind: "ring", ring: "pilot" } as const
  const output = { file: await engine.files.refer({ path: file }), replace: true }
  await followJob(await engine.fleet.export({ scope, output }))
}

async function bundle(folder: string, report: Report): Promise<void> {
  const workspace = path.join(folder, "bundle")
  const model = path.join(folder, "model.onnx")
  writeLargeModel(model, { megabytes: 1074 })
  const { engine, ports, close } = await openDesk(workspace)
  const file = path.join(folder, "bundle.seal")
  await engine.devices.add({ name: "press-07", key: { kind: "software" } })
  await release(engine, folder, model, ["press-07"], "r1")
  rmSync(model)
  await followJob(await engine.release.publish({ name: "r1", ring: "pilot" }))
  await exportRing(engine, file)
  const { publicKeyPem } = await engine.keys.show({ name: "press" })
  const trust = parseTrustedKeys([{ label: "press", pem: publicKeyPem ?? "" }])
  const manifests: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const startedAt = performance.now()
    const opened = await openRegular(file)
    const contents = await readSealFile(opened)
    readSignatures(contents, trust, ports.now())
    for (const part of [...contents.packages, ...contents.grants]) await recipientTypes(opened, part)
    await opened.close()
    manifests.push(performance.now() - startedAt)
  }
  await close()
  const whole: number[] = []
  const peer: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    peer.push(secondsOf(() => execFileSync("sha256sum", [file], { stdio: "pipe" })))
    whole.push(
      secondsOf(() => {
        const { status } = spawnSync(process.execPath, [BIN, "verify", file, "--workspace", workspace])
        if (status !== 0) throw new Error(`verify ended with ${String(status)}`)
      }),
    )
  }
  const how = `median of ${ROUNDS}, ${statSync(file).size} bytes on tmpfs: export of a ring of one device`
  report({
    name: "verdict on the manifests of an offline bundle",
    ours: median(manifests),
    unit: "ms",
    peer: null,
    peerValue: null,
    must: "below 50 ms",
    met: median(manifests) < 50,
    how: `${how}; container, signatures and headers in this process, the first round included, hashing of the payload left out`,
  })
  report({
    name: "verify of an offline bundle",
    ours: median(whole),
    unit: "s",
    peer: "sha256sum of the same file",
    peerValue: median(peer),
    must: "below 1.5 times sha256sum",
    met: median(whole) < 1.5 * median(peer),
    how: `${how}; sealwright verify as a process of its own`,
  })
  rmSync(file)
  rmSync(workspace, { recursive: true })
}

async function ring(folder: string, report: Report): Promise<void> {
  const workspace = path.join(folder, "ring")
  const { engine, ports, close } = await openDesk(workspace)
  const store = path.join(folder, "registry")
  mkdirSync(store)
  const registry = await dockerRegistry(store)
  await registry.start()
  const proxy = await countingProxy(registry.host)
  try {
    const names = Array.from({ length: DEVICES }, (_, index) => `press-${String(index).padStart(4, "0")}`)
    for (const name of names) {
      const { recipient } = generateX25519(ports.random)
      await keepStranger(ports, name, recipient)
    }
    await release(engine, folder, path.join(MODELS, "fashion-cnn.onnx"), names, "r1")
    const startedAt = performance.now()
    const { seconds } = await followJob(await engine.release.publish({ name: "r1", ring: "pilot" }))
    const file = path.join(folder, "ring.seal")
    const exported = await secondsUntil(exportRing(engine, file))
    const place: Place = {
      kind: "remote",
      repository: `${registry.host}/press/model`,
      plainHttp: true,
      authority: null,
    }
    const pushed = await followJob(
      await engine.registry.push({ file: await engine.files.refer({ path: file }), to: place, tag: "r1" }),
    )
    const total = (performance.now() - startedAt) / 1000
    const how = `fleet mode, ${DEVICES} devices, no mark; desk and docker-registry on this computer, stores on tmpfs`
    report({
      name: `publish to a ring of ${DEVICES} devices, export and push`,
      ours: total,
      unit: "s",
      peer: null,
      peerValue: null,
      must: "at most 60 s (aim 10)",
      met: total <= 60,
      how: `${how}; publish ${seconds.toFixed(1)} s, export ${exported.toFixed(1)} s, push ${pushed.seconds.toFixed(1)} s`,
    })
    const grown = bytesBelow(path.join(store, "store"))
    const { content, ...rest } = await sizesIn(file)
    const others = grown - content - Object.values(rest).reduce((sum, bytes) => sum + bytes, 0)
    const each = Object.entries({ ...rest, "files of the registry's own": others }).map(
      ([what, bytes]) => `${what} ${Math.round(bytes / DEVICES)}`,
    )
    report({
      name: `growth of the registry for ${DEVICES} devices`,
      ours: grown / 1e6,
      unit: "MB",
      peer: "one payload and the grants",
      peerValue: content / 1e6,
      must: "at most one payload and the grants",
      met: grown <= content,
      how: `${how}; sizes of all files of the store beside those of layers of package and grants, ${pushed.sentBytes} bytes were sent; the rest, bytes a device: ${each.join(", ")}`,
    })
    await asks(folder, engine, proxy, report)
  } finally {
    await close()
    proxy.close()
    await registry.kill()
  }
}

/** A device of the ring that looks for news where there are none. */
async function asks(
  folder: string,
  desk: HostClient,
  proxy: Awaited<ReturnType<typeof countingProxy>>,
  report: Report,
): Promise<void> {
  const { ports, close } = localPorts(path.join(folder, "device"))
  try {
    const engine = localEngine(createEngine(ports))
    const { recipient } = await engine.devices.add({ name: "late", key: { kind: "software" } })
    await desk.devices.add({ name: "late", key: { kind: "recipient", recipient } })
    await release(desk, folder, path.join(MODELS, "digits-mlp.onnx"), ["late"], "r2")
    await followJob(await desk.release.publish({ name: "r2", ring: "pilot" }))
    const file = path.join(folder, "late.seal")
    await exportRing(desk, file)
    const place: Place = {
      kind: "remote",
      repository: `${proxy.host}/press/model`,
      plainHttp: true,
      authority: null,
    }
    await followJob(
      await desk.registry.push({ file: await desk.files.refer({ path: file }), to: place, tag: "r2" }),
    )
    const from = await engine.files.refer({ path: file })
    await engine.deployment.provision({ device: "late", from, hardwareId: null })
    await followJob(await engine.deployment.sync({ device: "late", from: place }))
    proxy.taken()
    const startedAt = performance.now()
    await followJob(await engine.deployment.sync({ device: "late", from: place }))
    const milliseconds = performance.now() - startedAt
    const count = proxy.taken().length
    report({
      name: "requests of a device's sync with nothing new",
      ours: count,
      unit: "requests",
      peer: null,
      peerValue: null,
      must: "at most 3",
      met: count <= 3,
      how: `counted between the device and docker-registry, ${DEVICES + 1} devices there; it took ${milliseconds.toFixed(0)} ms`,
    })
  } finally {
    await close()
  }
}

function secondsOf(work: () => unknown): number {
  const startedAt = performance.now()
  work()
  return (performance.now() - startedAt) / 1000
}

async function secondsUntil(work: Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work
  return (performance.now() - startedAt) / 1000
}

/** What the blobs of a .seal file are, bytes: `content` are the layers of packages and grants. */
async function sizesIn(file: string) {
  const opened = await openRegular(file)
  try {
    const sizes = { content: 0, manifests: 0, signatures: 0, "trust and words": 0 }
    for (const { blob, manifest, layers } of await readSealManifests(opened)) {
      const layerBytes = layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0)
      const isContent = manifest.artifactType === MEDIA.package || manifest.artifactType === MEDIA.grant
      const name = manifest.artifactType === MEDIA.trust ? "trust and words" : "signatures"
      if (isContent) sizes.content += layerBytes
      else sizes[name] += layerBytes
      sizes[isContent ? "manifests" : name] += blob.bytes.length
    }
    return sizes
  } finally {
    await opened.close()
  }
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0)
}
