/** A device whose TPM was cleared after its enrolment: what it was can never be done again, and every command says so. */
import { existsSync, writeFileSync } from "node:fs"
import { afterAll, beforeAll, expect, test } from "vitest"
import { followJob, type HostClient } from "../../../main/contract/client.ts"
import { Fleet, outputOf } from "../../support/shop.ts"
import { startSwtpm, type Swtpm } from "../../support/swtpm.ts"
import { temporaryFolder } from "../../support/workspace.ts"

let tpm: Swtpm
beforeAll(async () => {
  tpm = await startSwtpm()
})
afterAll(async () => tpm.stop())

test.each([
  { where: "as blobs", persistent: false },
  { where: "inside the TPM", persistent: true },
])(
  "a TPM cleared since enrolment ends everything that needs a key in it with one refusal: keys kept $where",
  async ({ persistent }) => {
    const fleet = await Fleet.open(temporaryFolder(), { names: [] })
    const place = fleet.shop.place("press-07")
    fleet.devices.set("press-07", place)
    const [device, desk] = [place.engine, fleet.desk.engine]
    const at = async (engine: HostClient, name: string) => engine.files.refer({ path: fleet.shop.at(name) })
    const out = async (engine: HostClient, name: string) => ({ file: await at(engine, name), replace: true })
    const enrol = async (from: string, to: string) =>
      desk.enrolment.enrol({
        ...{ file: await at(desk, from), output: await out(desk, to) },
        ...{ roots: null, approve: null, allowUnattested: true },
      })
    const respond = async (challenge: string, response: string) =>
      device.enrolment.respond({
        challenge: await at(device, challenge),
        output: await out(device, response),
      })
    await device.enrolment.init({
      name: "press-07",
      place: { provider: "tpm2", tcti: tpm.tcti, adopt: null, persistent, auth: false, pcrs: [] },
      hardwareId: null,
      request: await out(device, "request"),
    })
    await enrol("request", "challenge")
    await respond("challenge", "response")
    expect(await enrol("response", "certificates")).toMatchObject({ kind: "enrolled" })
    await desk.fleet.setRing({ name: "pilot", devices: ["press-07"] })
    await fleet.release("r1")
    await fleet.publish("r1")
    const file = await fleet.export("r1.seal")
    const from = await at(device, "r1.seal")
    await device.deployment.provision({ device: "press-07", from, hardwareId: null })
    await fleet.sync(file)
    await fleet.install()
    await fleet.commit()

    await tpm.tool("tpm2_clear")

    const refused = (work: Promise<unknown>) => expect(work).toFailWithCode("TPM_KEY_FOREIGN")
    const { publicKeyPem } = await desk.keys.show({ name: "press" })
    writeFileSync(fleet.shop.at("press.pem"), publicKeyPem ?? "")
    const output = await outputOf(place, fleet.shop.at("opened.onnx"))
    const trust = await at(device, "press.pem")
    const package_ = await at(device, "r1.package.seal")
    await refused(followJob(await device.open({ file: package_, device: "press-07", trust, output })))
    expect(existsSync(fleet.shop.at("opened.onnx"))).toBe(false)
    const verdict = await followJob(await device.verify({ file: package_, device: "press-07", trust }))
    expect(verdict.verdict).toBe("refused")
    expect(verdict.checks.filter(({ result }) => result === "failed")).toMatchObject([
      { id: "grant", code: "TPM_KEY_FOREIGN" },
    ])
    await refused(fleet.sync(file))
    await refused(respond("challenge", "again"))
    const deployed = await followJob(await device.deployment.verify({ device: "press-07" }))
    expect(deployed).toMatchObject({ verdict: "refused" })
    expect(deployed.checks[0]).toMatchObject({ result: "failed", code: "TPM_KEY_FOREIGN" })
  },
)
