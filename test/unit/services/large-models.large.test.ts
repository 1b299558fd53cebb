/** Models beyond what readFile and protobuf can hold. Slow: writes and reads several times 2.3 GB. */
import { createHash } from "node:crypto"
import { createReadStream, mkdirSync, statSync } from "node:fs"
import { beforeAll, describe, expect, test } from "vitest"
import { useDesk } from "../../support/desk.ts"
import { writeLargeModel } from "../../support/large-model.ts"
import { DeviceProcess } from "../../support/runtime-device.ts"

const desk = useDesk()

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256")
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest("hex")
}

describe("a model over 2 GiB with external data", () => {
  beforeAll(async () => {
    writeLargeModel(desk.at("large.onnx"), { megabytes: 2300, width: 4096, external: true })
    const made = await desk.protect(desk.at("large.onnx"), desk.at("large.seal"))
    expect(made.modelBytes).toBeGreaterThan(2 ** 31)
  }, 600_000)

  test("verifies and opens byte for byte", async () => {
    expect((await desk.verify(desk.at("large.seal"))).verdict).toBe("verified")
    mkdirSync(desk.at("out"))
    const opened = await desk.open(desk.at("large.seal"), desk.at("out/large.onnx"))
    for (const { name, bytes, sha256: stated } of opened.files) {
      expect(statSync(desk.at(`out/${name}`)).size).toBe(bytes)
      const again = await sha256(desk.at(`out/${name}`))
      expect(again).toBe(stated)
      expect(again).toBe(await sha256(desk.at(name)))
    }
  })

  test("answers from secret memory", async () => {
    const { workspace, folder } = desk
    const place = { workspace, file: desk.at("large.seal"), device: "press-07", cwd: folder }
    const device = new DeviceProcess({ ...place, level: "R2" })
    expect(await device.answer()).toMatchObject({ kind: "loaded", level: "R2" })
    expect(await device.tell("infer 2")).toEqual({ kind: "inferred" })
    expect(await device.tell("unload")).toMatchObject({ kind: "unloaded" })
    expect(await device.tell("close")).toEqual({ kind: "closed" })
  })
})
