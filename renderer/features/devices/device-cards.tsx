import { useElementSize } from "@mantine/hooks"
import { IconTrash } from "@tabler/icons-react"
import { useVirtualizer } from "@tanstack/react-virtual"
import { memo, useRef } from "react"
import type { Device } from "../../../main/contract/schema/keys.ts"
import { connection } from "../../api/connection.ts"
import { refresh } from "../../api/queries.ts"
import { confirmLoss } from "../../ui/confirm.tsx"
import { Digest } from "../../ui/digest.tsx"
import { AssuranceBadge } from "../../ui/state.tsx"
import { agoText, dateText } from "../../ui/units.ts"

const CARD_HEIGHT = 136
const CARD_WIDTH = 300

/** Rows of cards, of which only those in sight exist. */
export const DeviceCards = memo(function DeviceCards({ devices }: { readonly devices: readonly Device[] }) {
  const scroller = useRef<HTMLDivElement>(null)
  const { ref: measured, width } = useElementSize()
  const columns = Math.max(1, Math.floor(width / CARD_WIDTH))
  const virtual = useVirtualizer({
    count: Math.ceil(devices.length / columns),
    getScrollElement: () => scroller.current,
    estimateSize: () => CARD_HEIGHT,
    overscan: 3,
  })
  return (
    <div ref={scroller} className="sw-scroll" tabIndex={0} role="region" aria-label="Devices">
      <div ref={measured} style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {virtual.getVirtualItems().map(({ index, start, key }) => (
          <div
            key={key}
            className="sw-card-row"
            style={{ transform: `translateY(${start}px)`, gridTemplateColumns: `repeat(${columns}, 1fr)` }}
          >
            {devices.slice(index * columns, (index + 1) * columns).map((device) => (
              <DeviceCard key={device.name} device={device} />
            ))}
          </div>
        ))}
      </div>
    </div>
  )
})

const DeviceCard = memo(function DeviceCard({ device }: { readonly device: Device }) {
  const { name, recipient, recipientType, assurance, holdsKey, addedAt, enrolment } = device
  return (
    <article className="sw-card sw-device" aria-label={name}>
      <div className="sw-card-head">
        <strong className="sw-ellipsis" title={name}>
          {name}
        </strong>
        <button
          type="button"
          className="sw-icon-button"
          aria-label={`Remove ${name}`}
          onClick={() => remove(device)}
        >
          <IconTrash size={14} aria-hidden />
        </button>
      </div>
      <div className="sw-line">
        <AssuranceBadge level={assurance} />
        <span className="sw-small">
          {recipientType}, {holdsKey ? "private key here" : "private key on the device"}
        </span>
      </div>
      <div className="sw-line">
        <Digest value={recipient} label={`public key of ${name}`} />
      </div>
      <div className="sw-small" title={[dateText(addedAt), ...(enrolment?.evidence ?? [])].join("\n")}>
        {enrolment === null ? "added" : "enrolled"} {agoText(addedAt)}
        {enrolment === null ? "" : `, hardware ${enrolment.hardwareId.slice(0, 16)}`}
      </div>
    </article>
  )
})

function remove({ name, holdsKey }: Device): void {
  confirmLoss({
    title: `Remove ${name}?`,
    loss: holdsKey
      ? `Its private key is deleted from this computer with it. Packages made for ${name} can then be opened by nobody, unless they have an escrow key.`
      : `${name} can still open the packages it has. New ones cannot be made for it until it is added again.`,
    verb: holdsKey ? "Remove device and delete its key" : "Remove device",
    onConfirm: async () => {
      await connection.client.devices.remove({ name })
      await refresh("devices", "keys")
    },
  })
}
