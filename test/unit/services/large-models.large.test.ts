/** Models beyond what readFile and protobuf can hold. Slow: writes and reads several times 2.3 GB. */
import { createHash } from "node:crypto"
import { createReadStream, mkdirSync, statSync } from "node:fs"
import { expect, test } from "vitest"
import { useDesk } from "../../support/desk.ts"
import { writeLargeModel } from "../../support/large-model.ts"

const desk = useDesk()

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256")
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest("hex")
}

test("a model over 2 GiB with external data protects, verifies and opens byte for byte", async () => {
  const model = desk.at("large.onnx")
  writeLargeModel(model, { megabytes: 2300, width: 4096, external: true })
  const made = await desk.protect(model, desk.at("large.seal"))
  expect(made.modelBytes).toBeGreaterThan(2 ** 31)
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
