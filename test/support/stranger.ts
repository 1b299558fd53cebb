import type { Ports } from "../../main/services/ports.ts"

/** Makes a device known of which there is nothing but a recipient, past the look at all others that adding one by hand takes. */
export async function keepStranger(ports: Ports, name: string, recipient: string): Promise<void> {
  await ports.devices.add({
    name,
    recipient,
    recipientType: "X25519",
    assurance: "software",
    holdsKey: false,
    addedAt: ports.now().toISOString(),
    enrolment: null,
  })
}
