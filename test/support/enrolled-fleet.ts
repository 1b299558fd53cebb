/** A fleet of one device whose keys live in its TPM, enrolled by files as an operator carries them. */
import type { HostClient } from "../../main/contract/client.ts"
import { Fleet, outputOf, type Place } from "./shop.ts"
import { temporaryFolder } from "./workspace.ts"

const NAME = "press-07"

export class EnrolledFleet {
  readonly fleet: Fleet
  readonly device: Place
  /** What the desk said at the end of the enrolment. */
  readonly enrolled: { readonly kind: string }
  /** Release `r1`, published and exported for the device, which has not seen it yet. */
  readonly file: string

  private constructor(fleet: Fleet, device: Place, enrolled: { readonly kind: string }, file: string) {
    this.fleet = fleet
    this.device = device
    this.enrolled = enrolled
    this.file = file
  }

  static async open(tcti: string, persistent: boolean): Promise<EnrolledFleet> {
    const fleet = await Fleet.open(temporaryFolder(), { names: [] })
    const device = fleet.shop.place(NAME)
    fleet.devices.set(NAME, device)
    const desk = fleet.desk.engine
    const at = async (engine: HostClient, name: string) => engine.files.refer({ path: fleet.shop.at(name) })
    const enrol = async (from: string, to: string) =>
      desk.enrolment.enrol({
        file: await at(desk, from),
        output: await outputOf(fleet.desk, fleet.shop.at(to)),
        roots: null,
        approve: null,
        allowUnattested: true,
      })
    await device.engine.enrolment.init({
      name: NAME,
      place: { provider: "tpm2", tcti, adopt: null, persistent, auth: false, pcrs: [] },
      hardwareId: null,
      request: await outputOf(device, fleet.shop.at("request")),
    })
    await enrol("request", "challenge")
    await respond(fleet, device, "response")
    const enrolled = await enrol("response", "certificates")
    await desk.fleet.setRing({ name: "pilot", devices: [NAME] })
    await fleet.release("r1")
    await fleet.publish("r1")
    return new EnrolledFleet(fleet, device, enrolled, await fleet.export("r1.seal"))
  }

  /** A file beside the workspaces, as `place` refers to it. */
  async at(place: Place, name: string) {
    return place.engine.files.refer({ path: this.fleet.shop.at(name) })
  }

  /** The device answers the desk's challenge once more. */
  async respond(response: string): Promise<unknown> {
    return respond(this.fleet, this.device, response)
  }
}

async function respond(fleet: Fleet, device: Place, response: string): Promise<unknown> {
  return device.engine.enrolment.respond({
    challenge: await device.engine.files.refer({ path: fleet.shop.at("challenge") }),
    output: await outputOf(device, fleet.shop.at(response)),
  })
}
