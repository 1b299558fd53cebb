/** Transfers through docker-registry while it is killed and started again at random points. */
import { randomBytes } from "node:crypto"
import { closeSync, openSync, writeSync } from "node:fs"
import { mkdirSync } from "node:fs"
import path from "node:path"
import { expect } from "vitest"
import { createHash } from "node:crypto"
import type { BlobName } from "../../main/services/ports/registry.ts"
import { dockerRegistry } from "./docker-registry.ts"
import { openRemote } from "./registry-client.ts"
import { temporaryFolder } from "./workspace.ts"

const STRETCH = randomBytes(1 << 20)

/** A file of `mebibytes` MiB, no two of them alike. */
function writeBlob(file: string, mebibytes: number): BlobName {
  const hash = createHash("sha256")
  const descriptor = openSync(file, "w")
  for (let index = 0; index < mebibytes; index += 1) {
    STRETCH.writeUInt32BE(index)
    hash.update(STRETCH)
    writeSync(descriptor, STRETCH)
  }
  closeSync(descriptor)
  return { digest: `sha256:${hash.digest("hex")}`, size: mebibytes << 20 }
}

/**
 * `kills` transfers of one blob up and as many down; during each the registry is killed at a random point and started again.
 * Every one must succeed, with every byte right.
 */
export async function surviveRestarts(mebibytes: number, kills: number): Promise<void> {
  const folder = temporaryFolder()
  mkdirSync(path.join(folder, "registry"))
  const registry = await dockerRegistry(path.join(folder, "registry"))
  await registry.start()
  try {
    const source = path.join(folder, "source")
    const blob = writeBlob(source, mebibytes)
    const patience = { idleMs: 30_000, retry: { attempts: 12, baseMs: 50, capMs: 2_000 } } as const
    const from = openSync(source, "r")
    const to = openSync(path.join(folder, "target"), "w+")
    let restarts = 0
    /** Kills the registry once the transfer has come to a random point, and starts it again. */
    const saboteur = () => {
      const point = Math.random() * blob.size
      let restarted: Promise<void> | null = null
      return {
        onBytes: (done: number) => {
          if (done < point || restarted !== null) return
          restarts += 1
          restarted = registry.kill().then(async () => registry.start())
        },
        settled: async () => restarted,
      }
    }
    for (let index = 0; index < kills; index += 1) {
      // A repository of its own: nothing is there yet.
      const repository = openRemote(`${registry.host}/press-${index}`, { patience })
      const up = saboteur()
      expect(await repository.putBlob(blob, { kind: "file", file: from, offset: 0 }, up.onBytes)).toBe(
        "stored",
      )
      await up.settled()
      expect(await repository.blobSize(blob.digest)).toBe(blob.size)
      const down = saboteur()
      // The hash over what was written decides: `fetchBlob` throws when it is not the blob's.
      await repository.fetchBlob(blob, { file: to, offset: 0 }, down.onBytes)
      await down.settled()
    }
    expect(restarts).toBe(2 * kills)
    closeSync(from)
    closeSync(to)
  } finally {
    await registry.kill()
  }
}
