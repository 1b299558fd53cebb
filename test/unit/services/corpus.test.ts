/** Every model of the corpus protects and opens byte for byte, in both modes. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { expect, test } from "vitest"
import { useDesk } from "../../support/desk.ts"
import { MODELS } from "../../support/workspace.ts"

const desk = useDesk()
const models = readdirSync(MODELS).filter((name) => name.endsWith(".onnx"))

test("the corpus is there", () => expect(models.length).toBeGreaterThanOrEqual(24))

test.each(models)("%s", async (name) => {
  for (const mode of ["individual", "fleet"] as const) {
    const seal = desk.at(`${name}-${mode}.seal`)
    await desk.protect(name, seal, { mode, devices: ["press-07", "press-08"] })
    const out = desk.at(`${mode}-${name}-out`)
    mkdirSync(out)
    const opened = await desk.open(seal, path.join(out, name), "press-08")
    expect(opened.files.length).toBe(name.includes("-external") ? 2 : 1)
    for (const file of opened.files) {
      const again = readFileSync(path.join(out, file.name))
      expect(again.equals(readFileSync(path.join(MODELS, file.name)))).toBe(true)
    }
  }
})

test("a folder that does not exist is refused, not made", async () => {
  await expect(
    desk.open(desk.at("digits-mlp.onnx-fleet.seal"), desk.at("no/such/model.onnx")),
  ).toFailWithCode("OUTPUT_UNWRITABLE")
})

test("a device cannot open what was sealed for another, in neither mode", async () => {
  for (const mode of ["individual", "fleet"] as const) {
    const seal = desk.at(`only-07-${mode}.seal`)
    await desk.protect("digits-mlp.onnx", seal, { mode, devices: ["press-07"] })
    await expect(desk.open(seal, desk.at("never.onnx"), "press-08")).toFailWithCode("PACKAGE_NOT_FOR_DEVICE")
    expect(existsSync(desk.at("never.onnx"))).toBe(false)
  }
})

test("individual mode has a payload for each device, fleet mode one for all", async () => {
  const devices = ["press-07", "press-08"]
  const individual = await desk.protect("digits-mlp.onnx", desk.at("two.seal"), { devices })
  const fleet = await desk.protect("digits-mlp.onnx", desk.at("one.seal"), { devices, mode: "fleet" })
  expect(new Set(individual.packages.map(({ payloadDigest }) => payloadDigest)).size).toBe(2)
  expect([fleet.packages.length, fleet.grants]).toEqual([1, 2])
})
