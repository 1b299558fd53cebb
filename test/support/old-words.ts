/** Words of a director by the thousand, as files of a device's bin; the desk keeps none of them. */
import { sign } from "node:crypto"
import { readFileSync } from "node:fs"
import path from "node:path"
import type { Key } from "../../main/contract/schema/keys.ts"
import { binOf } from "../../main/core/policy/device-id.ts"
import type { Documents } from "../../main/services/ports/documents.ts"
import { binRepository, direct, type Order } from "../../main/services/release/director.ts"
import { ownKeys } from "../../main/services/trust/own-keys.ts"
import { currentPlan } from "../../main/services/trust/publish.ts"
import type { Place } from "./shop.ts"

/** The next `count` words that say this, in order; each by the names its repository has for it. */
export async function nextWords(
  { ports: desk, workspace }: Place,
  order: Order,
  count: number,
): Promise<readonly ReadonlyMap<string, Uint8Array>[]> {
  // In memory: a thousand words to disk would be waited for.
  const pem = readFileSync(path.join(workspace, "keys", "signing", "desk.pem"))
  const keys = {
    ...desk.keys,
    sign: async (_key: Key, message: Uint8Array) => sign("sha256", message, pem),
  }
  const bin = binOf(order.deviceId)
  const ports = { ...desk, keys, documents: await inMemory(desk.documents, `tuf/devices/${bin}`) }
  const plan = await currentPlan(ports)
  const own = await ownKeys(ports)
  const repository = binRepository(ports, bin)
  const words: ReadonlyMap<string, Uint8Array>[] = []
  while (words.length < count) {
    await direct(ports, plan, own, [order])
    const version = await repository.timestampVersion()
    const names = ["timestamp.json", `${version}.snapshot.json`, `${version}.targets.json`]
    const word = new Map<string, Uint8Array>()
    for (const name of names) word.set(name, (await repository.read(name)) ?? new Uint8Array(0))
    words.push(word)
  }
  return words
}

/** What is written stays in memory. */
async function inMemory(disk: Documents, folder: string): Promise<Documents> {
  const written = new Map<string, Uint8Array>()
  for (const name of await disk.list(folder))
    written.set(`${folder}/${name}`, (await disk.read(`${folder}/${name}`)) ?? new Uint8Array(0))
  return {
    ...disk,
    read: async (name) => written.get(name) ?? disk.read(name),
    write: async (name, bytes) => {
      written.set(name, bytes)
    },
  }
}
