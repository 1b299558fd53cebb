/** Rollback floors where they really are: in the NV counters of a TPM, and in a sealed file of a device without one. */
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { followJob } from "../../../main/contract/client.ts"
import type { Device } from "../../../main/contract/schema/keys.ts"
import { signStatement } from "../../../main/core/attest/attestation.ts"
import { readBundle } from "../../../main/core/attest/bundle.ts"
import { readStatement, toStatementBytes } from "../../../main/core/attest/statement.ts"
import { toBase64 } from "../../../main/core/bytes/bytes.ts"
import { createDeviceId } from "../../../main/core/policy/device-id.ts"
import { EnrolledFleet } from "../../support/enrolled-fleet.ts"
import { Fleet, outputOf } from "../../support/shop.ts"
import { startSwtpm, type Swtpm } from "../../support/swtpm.ts"
import { temporaryFolder } from "../../support/workspace.ts"

describe("a device with a TPM", () => {
  let tpm: Swtpm
  beforeAll(async () => {
    tpm = await startSwtpm()
  })
  afterAll(async () => tpm.stop())

  const open = async (): Promise<Fleet> => {
    const fleet = await Fleet.open(temporaryFolder(), { names: [] })
    await fleet.addDevice("press-07", {}, tpm.tcti)
    await fleet.desk.engine.fleet.setRing({ name: "pilot", devices: ["press-07"] })
    return fleet
  }
  const indicesOf = (device: Device) => {
    const first = 0x0180_0000 + Number.parseInt(createDeviceId(device.recipient).slice(0, 5), 16) * 4
    return [first, first + 1, first + 2] as const
  }

  test("refuses what an old image of its whole disk would accept", async () => {
    const fleet = await open()
    const old = await fleet.deploy("r1")
    const { workspace, engine } = fleet.device()
    const image = fleet.shop.at("disk-image")
    cpSync(workspace, image, { recursive: true })
    await fleet.deploy("r2")
    const floors = { deployment: 2, release: 2, level: "hardware" }
    expect(await engine.deployment.status({ device: "press-07" })).toMatchObject({ floors })
    rmSync(workspace, { recursive: true })
    cpSync(image, workspace, { recursive: true })
    expect(await engine.deployment.status({ device: "press-07" })).toMatchObject({
      slots: { a: { release: "r1", state: "good" } },
      floors,
    })
    await expect(fleet.sync(old)).toFailWithCode("DEPLOYMENT_REPLAYED")
    const verdict = await followJob(await engine.deployment.verify({ device: "press-07" }))
    expect(verdict.checks[0]).toMatchObject({ result: "failed", code: "DEPLOYMENT_REPLAYED" })
    // What is current still reaches it.
    expect((await fleet.sync(await fleet.export("again.seal"))).incoming).toMatchObject({ release: "r2" })
  })

  test("quotes its state under its receipts, which the desk checks by the key of its enrolment", async () => {
    const enrolled = await EnrolledFleet.open(tpm.tcti, false)
    const { fleet, device: place, file } = enrolled
    const [device, desk] = [place.engine, fleet.desk.engine]
    expect(enrolled.enrolled).toMatchObject({ kind: "enrolled" })
    // No key for receipts is carried: enrolment has named it.
    expect(
      await device.deployment.provision({
        device: "press-07",
        from: await enrolled.at(place, "r1.seal"),
        hardwareId: null,
      }),
    ).toMatchObject({ receiptKey: { name: "press-07" } })
    await fleet.sync(file)
    await fleet.install()
    await fleet.commit()
    await device.deployment.receipts({
      device: "press-07",
      output: await outputOf(place, fleet.shop.at("back.seal")),
    })
    expect(await desk.fleet.import({ file: await enrolled.at(fleet.desk, "back.seal") })).toEqual({
      receipts: [{ device: "press-07", result: "taken", reason: "" }],
    })
    expect(await desk.fleet.status()).toMatchObject([{ receipts: { good: 1, refused: 0, quoted: 1 } }])
    // A quote made for another receipt is void.
    const { ports } = place
    const [key, signing] = [
      await ports.keys.find("press-07", "attestation"),
      await ports.keys.find("press-07", "signing"),
    ]
    const folder = path.join(place.workspace, "documents", "deployments")
    const [id = ""] = readdirSync(folder)
    const [name = ""] = readdirSync(path.join(folder, id, "receipts"))
    const { payload } = readBundle(readFileSync(path.join(folder, id, "receipts", name))).envelope
    const { subjects, predicateType, predicate } = readStatement(payload)
    const { attestation, signature } = await ports.attestor.quote(key, [0, 2, 4, 7], new Uint8Array(32))
    const quote = { attestation: toBase64(attestation), signature: toBase64(signature) }
    const statement = toStatementBytes({
      subjects,
      predicateType,
      predicate: { ...predicate, nonce: "0".repeat(32), quote },
    })
    const forged = await signStatement(statement, {
      publicKeyPem: () => signing.publicKeyPem ?? "",
      sign: async (message) => ports.keys.sign(signing, message),
    })
    writeFileSync(path.join(folder, id, "receipts", name), forged)
    await device.deployment.receipts({
      device: "press-07",
      output: await outputOf(place, fleet.shop.at("back.seal")),
    })
    expect(await desk.fleet.import({ file: await enrolled.at(fleet.desk, "back.seal") })).toMatchObject({
      receipts: [{ result: "refused" }],
    })
  })

  test("keeps its counters when its workspace is wiped and set up again", async () => {
    const fleet = await open()
    const old = await fleet.deploy("r1")
    const { workspace, ports } = fleet.device()
    const device = await ports.devices.find("press-07")
    await fleet.deploy("r2")
    for (const name of readdirSync(workspace))
      if (!["keys", "devices"].includes(name)) rmSync(path.join(workspace, name), { recursive: true })
    await fleet.provision(old)
    expect(await ports.floors.read(device)).toEqual({ deployment: 2, release: 2 })
    await expect(fleet.sync(old)).toFailWithCode("DEPLOYMENT_REPLAYED")
  })

  test("does not run on when its counters are gone or were made anew", async () => {
    const fleet = await open()
    const file = await fleet.deploy("r1")
    const { ports } = fleet.device()
    const indices = indicesOf(await ports.devices.find("press-07"))
    for (const index of indices) await ports.counters.remove(tpm.tcti, index)
    await expect(fleet.sync(file)).toFailWithCode("FLOOR_LOST")
    for (const index of indices) await ports.counters.define(tpm.tcti, index)
    await expect(fleet.sync(file)).toFailWithCode("FLOOR_LOST")
  })

  test("does not count to a number no release has", async () => {
    const fleet = await open()
    await fleet.deploy("r1")
    const { ports } = fleet.device()
    const device = await ports.devices.find("press-07")
    await expect(ports.floors.raise(device, { deployment: 2 ** 40, release: 1 })).toFailWithCode(
      "FLOOR_TOO_FAR",
    )
    expect(await ports.floors.read(device)).toEqual({ deployment: 1, release: 1 })
    await ports.floors.raise(device, { deployment: 5, release: 0 })
    expect(await ports.floors.read(device)).toEqual({ deployment: 5, release: 1 })
  })
})

describe("a device without a TPM", () => {
  test("seals its floors, and takes no other record for them", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    await fleet.deploy("r1")
    const { ports, workspace } = fleet.device()
    const device = await ports.devices.find("press-07")
    const file = path.join(workspace, "documents", "floors", createDeviceId(device.recipient))
    expect(await ports.floors.read(device)).toEqual({ deployment: 1, release: 1 })
    const good = readFileSync(file)
    expect(good.includes("deployment")).toBe(false)
    for (const at of [0, 14, good.length - 1]) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] ?? 0) ^ 1
      writeFileSync(file, bad)
      await expect(ports.floors.read(device)).toFailWithCode("WORKSPACE_UNUSABLE")
    }
    writeFileSync(file, good)
    const recipient = `${device.recipient.slice(0, -1)}${device.recipient.endsWith("q") ? "p" : "q"}`
    const other = path.join(workspace, "documents", "floors", createDeviceId(recipient))
    renameSync(file, other)
    await expect(ports.floors.read({ ...device, recipient })).toFailWithCode("WORKSPACE_UNUSABLE")
    await expect(ports.floors.read(device)).toFailWithCode("WORKSPACE_UNUSABLE")
  })
})
