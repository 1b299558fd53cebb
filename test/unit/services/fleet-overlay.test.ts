/** A payload all devices share and an overlay only one has: opened, verified and run as the model that was signed. */
import { readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, expect, test } from "vitest"
import { followJob } from "../../../main/contract/client.ts"
import { overlayDevice } from "../../../main/core/watermark/overlay-apply.ts"
import { OverlayWriter } from "../../../main/core/watermark/overlay-writer.ts"
import { useDesk } from "../../support/desk.ts"
import { makeFleetSeal, type FleetOrder, type ModelFile } from "../../support/seal-maker.ts"
import { newTestKey } from "../../support/software-signer.ts"
import { DATA, MODELS } from "../../support/workspace.ts"

const desk = useDesk()
const signer = newTestKey()
const SALT = new Uint8Array(16).fill(7)
/** Two stretches of weights of the model, bytes in the file; the second crosses a chunk of the payload. */
const STRETCHES = [
  { offset: 8000, elements: 400 },
  { offset: 64_800, elements: 600 },
]
let model: Uint8Array
let recipient: string

beforeAll(async () => {
  model = readFileSync(path.join(MODELS, "fashion-cnn.onnx"))
  recipient = (await desk.engine.devices.list()).find(({ name }) => name === "press-07")?.recipient ?? ""
  writeFileSync(desk.at("signer.pem"), signer.pem)
})

/** The model with what stands in the stretches replaced by filler. */
function base(): readonly ModelFile[] {
  const bytes = Uint8Array.from(model)
  for (const { offset, elements } of STRETCHES) bytes.fill(0x3c, offset, offset + elements * 4)
  return [{ name: "fashion-cnn.onnx", bytes }]
}

/** Every second block of eight elements, so that runs are what a mark would make them. */
function overlayOf(values: Uint8Array, device = recipient) {
  return (payload: Uint8Array, root: Uint8Array) => {
    const segments = STRETCHES.map(({ offset, elements }) => ({
      file: 0,
      offset,
      elementBytes: 4,
      keptBytes: 0,
      elements,
    }))
    const writer = new OverlayWriter(segments)
    segments.forEach(({ offset, elements }, index) =>
      writer.add(index, 0, values.subarray(offset, offset + elements * 4)),
    )
    return writer.finish({
      base: payload,
      model: root,
      deviceSalt: SALT,
      device: overlayDevice(SALT, device),
    })
  }
}

async function make(change: Partial<FleetOrder> = {}): Promise<string> {
  const seal = await makeFleetSeal({
    seed: 1,
    signer,
    base: base(),
    assembled: [{ name: "fashion-cnn.onnx", bytes: model }],
    device: { name: "press-07", recipient },
    overlay: overlayOf(model),
    ...change,
  })
  const file = desk.at("fleet.seal")
  writeFileSync(file, seal)
  return file
}

async function verdictOf(
  file: string,
): Promise<{ readonly verdict: string; readonly check?: string; readonly code?: string }> {
  const { verdict, checks } = await desk.verify(file, "press-07", desk.at("signer.pem"))
  const failed = checks.find(({ result }) => result === "failed")
  return failed === undefined ? { verdict } : { verdict, check: failed.id, code: failed.code ?? "" }
}

test("opens byte-identically to the model that was signed", async () => {
  const file = await make()
  expect(await verdictOf(file)).toEqual({ verdict: "verified" })
  await followJob(
    await desk.engine.open({
      file: await desk.engine.files.refer({ path: file }),
      device: "press-07",
      trust: await desk.engine.files.refer({ path: desk.at("signer.pem") }),
      output: { file: await desk.engine.files.refer({ path: desk.at("assembled.onnx") }), replace: true },
    }),
  )
  expect(Buffer.compare(readFileSync(desk.at("assembled.onnx")), model)).toBe(0)
})

test("runs as the model that was signed", async () => {
  const refer = async (name: string) => desk.engine.files.refer({ path: name })
  const ran = await followJob(
    await desk.engine.run({
      file: await refer(await make()),
      device: "press-07",
      trust: await refer(desk.at("signer.pem")),
      inputs: [{ name: null, file: await refer(path.join(DATA, "fashion-eval-x.npy")) }],
      normalise: null,
      batch: 16,
      level: null,
      output: null,
    }),
  )
  expect(ran.rows).toBeGreaterThan(0)
})

test("is refused without its overlay", async () => {
  expect(await verdictOf(await make({ overlay: () => null }))).toEqual({
    verdict: "refused",
    check: "model",
    code: "SIGNATURE_MISMATCH",
  })
})

test("is refused with one changed value", async () => {
  const altered = Uint8Array.from(model)
  altered[64_900] = (altered[64_900] ?? 0) ^ 1
  expect(await verdictOf(await make({ overlay: overlayOf(altered) }))).toMatchObject({ check: "model" })
})

test("is refused by the runtime with one changed value", async () => {
  const altered = Uint8Array.from(model)
  altered[64_900] = (altered[64_900] ?? 0) ^ 1
  const refer = async (name: string) => desk.engine.files.refer({ path: name })
  const events = await desk.engine.run({
    file: await refer(await make({ overlay: overlayOf(altered) })),
    device: "press-07",
    trust: await refer(desk.at("signer.pem")),
    inputs: [{ name: null, file: await refer(path.join(DATA, "fashion-eval-x.npy")) }],
    normalise: null,
    batch: 16,
    level: null,
    output: null,
  })
  await expect(followJob(events)).toFailWithCode("SIGNATURE_MISMATCH")
})

test.each([
  ["another payload", (_: Uint8Array, root: Uint8Array) => overlayOf(model)(new Uint8Array(32), root)],
  ["another model", (payload: Uint8Array) => overlayOf(model)(payload, new Uint8Array(32))],
  ["another device", (payload: Uint8Array, root: Uint8Array) => overlayOf(model, "age1other")(payload, root)],
])("is refused with the overlay of %s", async (_what, overlay) => {
  expect(await verdictOf(await make({ overlay }))).toEqual({
    verdict: "refused",
    check: "grant",
    code: "OVERLAY_MISMATCH",
  })
})

test("is refused with an overlay that is not well-formed", async () => {
  const cut = (payload: Uint8Array, root: Uint8Array) => overlayOf(model)(payload, root)?.slice(0, -1) ?? null
  expect(await verdictOf(await make({ overlay: cut }))).toMatchObject({
    check: "grant",
    code: "OVERLAY_MALFORMED",
  })
})
