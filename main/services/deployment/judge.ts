/** Both repositories judged for one device, by what it keeps and knows. */
import type { Device } from "../../contract/schema/keys.ts"
import { judgeDeployment, type Judged } from "../../core/policy/deployment.ts"
import { createDeviceId } from "../../core/policy/device-id.ts"
import type { Ports } from "../ports.ts"
import type { Repositories } from "./repositories.ts"
import { effectiveNow, keptSource, viewOf, type DeviceState } from "./state.ts"

/** What the device keeps, judged again: no other file is needed. */
export async function judgeKept(ports: Ports, device: Device, state: DeviceState): Promise<Judged> {
  return judge(ports, device, state, {
    image: await keptSource(ports, device, "image"),
    director: await keptSource(ports, device, "director"),
  })
}

export async function judge(
  ports: Ports,
  device: Device,
  state: DeviceState,
  sources: Repositories,
): Promise<Judged> {
  const deviceId = createDeviceId(device.recipient)
  return judgeDeployment(
    {
      image: await viewOf(ports, device, "image", sources.image),
      director: await viewOf(ports, device, "director", sources.director),
    },
    {
      deviceId,
      hardwareId: state.hardwareId,
      floors: await ports.floors.read(device),
      now: effectiveNow(ports, state),
    },
  )
}
