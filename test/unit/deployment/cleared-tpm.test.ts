/** A device whose TPM was cleared after its enrolment: what it was can never be done again, and every command says so. */
import { existsSync, writeFileSync } from "node:fs"
import { afterAll, beforeAll, expect, test } from "vitest"
import { followJob } from "../../../main/contract/client.ts"
import { EnrolledFleet } from "../../support/enrolled-fleet.ts"
import { outputOf } from "../../support/shop.ts"
import { startSwtpm, type Swtpm } from "../../support/swtpm.ts"

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
    const enrolled = await EnrolledFleet.open(tpm.tcti, persistent)
    const { fleet, device: place, file } = enrolled
    const [device, desk] = [place.engine, fleet.desk.engine]
    const from = await enrolled.at(place, "r1.seal")
    await device.deployment.provision({ device: "press-07", from, hardwareId: null })
    await fleet.sync(file)
    await fleet.install()
    await fleet.commit()

    await tpm.tool("tpm2_clear")

    const refused = (work: Promise<unknown>) => expect(work).toFailWithCode("TPM_KEY_FOREIGN")
    const { publicKeyPem } = await desk.keys.show({ name: "press" })
    writeFileSync(fleet.shop.at("press.pem"), publicKeyPem ?? "")
    const output = await outputOf(place, fleet.shop.at("opened.onnx"))
    const trust = await enrolled.at(place, "press.pem")
    const package_ = await enrolled.at(place, "r1.package.seal")
    await refused(followJob(await device.open({ file: package_, device: "press-07", trust, output })))
    expect(existsSync(fleet.shop.at("opened.onnx"))).toBe(false)
    const verdict = await followJob(await device.verify({ file: package_, device: "press-07", trust }))
    expect(verdict.verdict).toBe("refused")
    expect(verdict.checks.filter(({ result }) => result === "failed")).toMatchObject([
      { id: "grant", code: "TPM_KEY_FOREIGN" },
    ])
    await refused(fleet.sync(file))
    await refused(enrolled.respond("again"))
    const deployed = await followJob(await device.deployment.verify({ device: "press-07" }))
    expect(deployed).toMatchObject({ verdict: "refused" })
    expect(deployed.checks[0]).toMatchObject({ result: "failed", code: "TPM_KEY_FOREIGN" })
  },
)
