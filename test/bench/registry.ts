/** Moving 1 GiB through a registry on this computer, beside skopeo doing the same. */
import { execFileSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import path from "node:path"
import {
  blobOf,
  layoutIndex,
  LAYOUT_FILE,
  packageManifest,
  sealIndex,
  type Blob,
} from "../../main/core/oci/manifest.ts"
import { EMPTY_CONFIG_BYTES, MEDIA } from "../../main/core/oci/media-types.ts"
import { TAR_END, tarHeader, tarPadding } from "../../main/core/oci/tar.ts"
import { followJob } from "../../main/contract/client.ts"
import type { Place } from "../../main/contract/schema/registry.ts"
import { TRANSPORTS } from "../support/engines.ts"
import { dockerRegistry } from "../support/docker-registry.ts"
import { median, type Bench } from "./bench.ts"

const GIBIBYTE = 1 << 30
const ROUNDS = 3

export const registryBench: Bench = {
  name: "registry",
  async run(report) {
    const folder = mkdtempSync("/dev/shm/sealwright-bench-")
    const engine = TRANSPORTS[0]?.open(path.join(folder, "workspace"))
    if (engine === undefined) throw new Error("no engine")
    mkdirSync(path.join(folder, "registry"))
    const registry = await dockerRegistry(path.join(folder, "registry"))
    await registry.start()
    try {
      const seal = path.join(folder, "model.seal")
      writeSeal(seal)
      const ours = { push: [] as number[], pull: [] as number[] }
      const peer = { push: [] as number[], pull: [] as number[] }
      const refer = async (file: string) => engine.engine.files.refer({ path: file })
      // Taking turns, so that whatever else the computer does meets both alike.
      for (let round = 0; round < ROUNDS; round += 1) {
        const to: Place = {
          kind: "remote",
          repository: `${registry.host}/ours-${round}`,
          plainHttp: true,
          authority: null,
        }
        const out = path.join(folder, "ours.seal")
        ours.push.push(
          await seconds(async () =>
            followJob(await engine.engine.registry.push({ file: await refer(seal), to, tag: "1" })),
          ),
        )
        ours.pull.push(
          await seconds(async () =>
            followJob(
              await engine.engine.registry.pull({
                from: to,
                reference: "1",
                grants: { kind: "all" },
                output: { file: await refer(out), replace: true },
              }),
            ),
          ),
        )
        rmSync(out)
        const copy = path.join(folder, "peer.seal")
        const theirs = `docker://${registry.host}/peer-${round}:1`
        const skopeo = (...args: readonly string[]) =>
          execFileSync(
            "skopeo",
            ["copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", ...args],
            {
              stdio: "pipe",
              env: { ...process.env, TMPDIR: folder },
            },
          )
        peer.push.push(await seconds(() => skopeo(`oci-archive:${seal}`, theirs)))
        peer.pull.push(await seconds(() => skopeo(theirs, `oci-archive:${copy}`)))
        rmSync(copy)
        rmSync(path.join(folder, "registry", "store"), { recursive: true, force: true })
      }
      for (const way of ["push", "pull"] as const) {
        const [mine, other] = [median(ours[way]), median(peer[way])]
        report({
          name: `registry ${way} 1 GiB`,
          ours: mine,
          unit: "s",
          peer: "skopeo copy",
          peerValue: other,
          must: "at most 1.2 times skopeo (aim 0.8)",
          met: mine <= 1.2 * other,
          how: `median of ${ROUNDS}, .seal file on tmpfs to docker-registry on loopback and back, store on tmpfs; neither has the blob before`,
        })
      }
    } finally {
      await engine.close()
      await registry.kill()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

async function seconds(work: () => unknown): Promise<number> {
  const startedAt = performance.now()
  await work()
  return (performance.now() - startedAt) / 1000
}

/** A package whose payload is random bytes: what a registry sees of an encrypted one. */
function writeSeal(file: string): void {
  const stretch = randomBytes(1 << 20)
  const hash = createHash("sha256")
  for (let index = 0; index < GIBIBYTE / stretch.length; index += 1) {
    stretch.writeUInt32BE(index)
    hash.update(stretch)
  }
  const payload = { mediaType: MEDIA.payloadLayer, digest: `sha256:${hash.digest("hex")}`, size: GIBIBYTE }
  const manifest = packageManifest(payload)
  const index = sealIndex([manifest.descriptor])
  const output = openSync(file, "w")
  const entry = (name: string, bytes: Uint8Array) => {
    for (const part of [tarHeader(name, bytes.length), bytes, tarPadding(bytes.length)])
      writeSync(output, part)
  }
  const blob = ({ descriptor, bytes }: Blob) => entry(`blobs/sha256/${descriptor.digest.slice(7)}`, bytes)
  writeSync(output, tarHeader(`blobs/sha256/${payload.digest.slice(7)}`, payload.size))
  for (let at = 0; at < GIBIBYTE / stretch.length; at += 1) {
    stretch.writeUInt32BE(at)
    writeSync(output, stretch)
  }
  blob(manifest)
  blob(blobOf(MEDIA.empty, EMPTY_CONFIG_BYTES))
  blob(index)
  entry("index.json", layoutIndex(index.descriptor))
  entry("oci-layout", LAYOUT_FILE)
  writeSync(output, TAR_END)
  closeSync(output)
}
