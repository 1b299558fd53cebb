import { useElementSize } from "@mantine/hooks"
import { IconTrash } from "@tabler/icons-react"
import { memo, useRef, useState } from "react"
import type { Device } from "../../../main/contract/schema/keys.ts"
import type { FleetDevice } from "../../../main/contract/schema/release.ts"
import { connection } from "../../api/connection.ts"
import { refresh } from "../../api/queries.ts"
import { confirmLoss } from "../../ui/confirm.tsx"
import { Digest } from "../../ui/digest.tsx"
import { FleetState } from "../../ui/fleet-state.tsx"
import { AssuranceBadge } from "../../ui/state.tsx"
import { agoText, dateText } from "../../ui/units.ts"
import { useWindowOfRows } from "../../ui/window-of-rows.ts"

/** With the space below it. */
const CARD_HEIGHT = 136
/** What a card says of releases, where there are any. */
const FLEET_HEIGHT = 22
const GAP = 12
const CARD_WIDTH = 300
const SCROLLER_PADDING = 16

interface Props {
  readonly devices: readonly Device[]
  /** By the device's name; null in a workspace that releases nothing. */
  readonly fleet: ReadonlyMap<string, FleetDevice> | null
}

/** Rows of cards, of which only those in sight exist. */
export const DeviceCards = memo(function DeviceCards({ devices, fleet }: Props) {
  const scroller = useRef<HTMLDivElement>(null)
  const columns = useColumns()
  const height = CARD_HEIGHT + (fleet === null ? 0 : FLEET_HEIGHT)
  const virtual = useWindowOfRows({
    scroller,
    count: Math.ceil(devices.length / columns.count),
    height,
    spare: 3,
  })
  return (
    <div ref={scroller} className="sw-scroll" tabIndex={0} role="region" aria-label="Devices">
      <div ref={columns.ref} style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {virtual.getVirtualItems().map(({ index, start, key }) => (
          <div
            key={key}
            className="sw-card-row"
            style={{
              height: height - GAP,
              transform: `translateY(${start}px)`,
              gridTemplateColumns: `repeat(${columns.count}, 1fr)`,
            }}
          >
            {devices.slice(index * columns.count, (index + 1) * columns.count).map((device) => (
              <DeviceCard key={device.name} device={device} fleet={fleet?.get(device.name) ?? null} />
            ))}
          </div>
        ))}
      </div>
    </div>
  )
})

/** As many as fit. The first frame goes by the place there will be, so that nothing is drawn twice. */
function useColumns() {
  const { ref, width } = useElementSize()
  const [expected] = useState(
    () => (document.querySelector("#main")?.clientWidth ?? innerWidth) - 2 * SCROLLER_PADDING,
  )
  return { ref, count: Math.max(1, Math.floor((width === 0 ? expected : width) / CARD_WIDTH)) }
}

interface CardProps {
  readonly device: Device
  readonly fleet: FleetDevice | null
}

const DeviceCard = memo(function DeviceCard({ device, fleet }: CardProps) {
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
      {fleet !== null && <ReleaseLine fleet={fleet} />}
    </article>
  )
})

/** How it stands with its release; the badge says the rest. */
function ReleaseLine({ fleet }: { readonly fleet: FleetDevice }) {
  const { wanted, running, counter, state, reportedAt, detail } = fleet
  const told = wanted === null || wanted === running ? null : `told ${wanted}`
  const runs = running === null ? null : `runs ${running}`
  const words = [runs, told].filter((each) => each !== null)
  if (words.length > 0) words.push(`counter ${counter}`)
  if (reportedAt !== null) words.push(agoText(reportedAt))
  const receipt = reportedAt === null ? "no receipt yet" : `last receipt of ${dateText(reportedAt)}`
  const hint = [...words.slice(0, 3), receipt, ...(detail === "" ? [] : [detail])].join("\n")
  return (
    <div className="sw-line" data-hint={hint}>
      <FleetState state={state} />
      <span className="sw-small sw-ellipsis">{words.join(", ")}</span>
    </div>
  )
}

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
