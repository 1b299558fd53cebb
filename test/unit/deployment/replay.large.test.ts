/** Old words by the thousand against the counter of a TPM, after the whole disk was put back: nothing but the chip remembers. */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { expect, onTestFinished, test } from "vitest"
import { sourceOf } from "../../../main/core/bytes/source.ts"
import { binOf, createDeviceId } from "../../../main/core/policy/device-id.ts"
import { readSealFile } from "../../../main/core/oci/seal-file.ts"
import { lastDirected } from "../../../main/services/release/director.ts"
import { addTrustDocuments } from "../../../main/services/seal-copy.ts"
import { SealWriter } from "../../../main/services/seal-writer.ts"
import { nextWords } from "../../support/old-words.ts"
import { memoryFile } from "../../support/seal-maker.ts"
import { Fleet } from "../../support/shop.ts"
import { startSwtpm } from "../../support/swtpm.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const WORDS = 1000

test(`refuses ${WORDS} old but valid words with its disk restored, and takes the one after the last`, async () => {
  const tpm = await startSwtpm()
  onTestFinished(async () => tpm.stop())
  const fleet = await Fleet.open(temporaryFolder(), { names: [] })
  await fleet.addDevice("press-07", {}, tpm.tcti)
  await fleet.desk.engine.fleet.setRing({ name: "pilot", devices: ["press-07"] })
  const file = await fleet.deploy("r1")
  const { workspace, engine } = fleet.device()
  const image = fleet.shop.at("disk-image")
  cpSync(workspace, image, { recursive: true })

  const deviceId = createDeviceId((await fleet.desk.ports.devices.find("press-07")).recipient)
  const run = (await lastDirected(fleet.desk.ports, deviceId))?.run ?? null
  const words = await nextWords(fleet.desk, { deviceId, ring: "pilot", run }, WORDS + 2)
  const carrier = await carrierOf(file, binOf(deviceId))
  const bring = async (word: ReadonlyMap<string, Uint8Array> | undefined) => {
    const at = fleet.shop.at("word.seal")
    writeFileSync(at, await carrier(word ?? new Map()))
    return fleet.sync(at)
  }
  const committed = { deployment: WORDS + 2, release: 1, level: "hardware" }
  expect((await bring(words[WORDS])).floors).toEqual(committed)

  rmSync(workspace, { recursive: true })
  cpSync(image, workspace, { recursive: true })
  expect(await engine.deployment.status({ device: "press-07" })).toMatchObject({
    // The disk says counter 1, the chip knows better.
    slots: { a: { release: "r1", counter: 1, state: "good" } },
    floors: committed,
  })
  const outcomes = new Map<string, number>()
  for (const word of words.slice(0, WORDS)) {
    const code = await bring(word).then(
      () => "taken",
      (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : String(error)),
    )
    outcomes.set(code, (outcomes.get(code) ?? 0) + 1)
  }
  expect([...outcomes]).toEqual([["DEPLOYMENT_REPLAYED", WORDS]])
  expect((await bring(words[WORDS + 1])).floors).toMatchObject({ deployment: WORDS + 3 })
})

/** A file with the trust metadata of another one, but with other words to the devices of a bin. */
async function carrierOf(file: string, bin: string) {
  const source = sourceOf(readFileSync(file))
  const { trust } = await readSealFile(source)
  const shared = new Map<string, Uint8Array>()
  for (const [name, { entry }] of trust) {
    const isWord = name.startsWith("devices/")
    if (!isWord) shared.set(name, Uint8Array.from(await source.read(entry.offset, entry.size)))
  }
  return async (word: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> => {
    const output = memoryFile()
    const writer = new SealWriter(output)
    await addTrustDocuments(writer, shared)
    await addTrustDocuments(
      writer,
      new Map([...word].map(([name, bytes]) => [`devices/${bin}/${name}`, bytes])),
    )
    await writer.finish()
    return output.bytes()
  }
}
