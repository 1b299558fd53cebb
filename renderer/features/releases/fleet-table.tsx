/** What every device was told and what it says: a row each. */
import { Menu } from "@mantine/core"
import { notifications } from "@mantine/notifications"
import type { FleetDevice } from "../../../main/contract/schema/release.ts"
import { chooseFiles } from "../../api/choose.ts"
import { connection } from "../../api/connection.ts"
import { bringIn } from "../../api/intake.ts"
import { refresh } from "../../api/queries.ts"
import { showFailure } from "../../ui/confirm.tsx"
import { DataTable, type Column } from "../../ui/data-table.tsx"
import { FleetState } from "../../ui/fleet-state.tsx"
import { MoreMenu } from "../../ui/more-menu.tsx"
import { StateBadge } from "../../ui/state.tsx"
import { agoText, dateText } from "../../ui/units.ts"
import { openRevokeDevice } from "./take-back.ts"

const ROW_HEIGHT = 34
const MAX_HEIGHT = 420

export function FleetTable({ fleet }: { readonly fleet: readonly FleetDevice[] }) {
  return (
    <div className="sw-table-box" style={{ height: Math.min(MAX_HEIGHT, (fleet.length + 1) * ROW_HEIGHT) }}>
      <DataTable label="What devices run" rows={fleet} columns={COLUMNS} idOf={({ device }) => device} />
    </div>
  )
}

const COLUMNS: readonly Column<FleetDevice>[] = [
  {
    id: "device",
    heading: "Device",
    width: "minmax(120px, 1.5fr)",
    value: ({ device }) => device,
    cell: ({ device }) => <span title={device}>{device}</span>,
  },
  {
    id: "ring",
    heading: "Ring",
    width: "90px",
    value: ({ ring }) => ring ?? "",
    cell: ({ ring }) => ring ?? "–",
  },
  {
    id: "wanted",
    heading: "Told to run",
    width: "minmax(100px, 1fr)",
    value: ({ wanted }) => wanted ?? "",
    cell: ({ wanted }) => wanted ?? "–",
  },
  {
    id: "running",
    heading: "Says it runs",
    width: "minmax(100px, 1fr)",
    value: ({ running }) => running ?? "",
    cell: ({ running }) => running ?? "–",
  },
  {
    id: "state",
    heading: "State",
    width: "150px",
    value: ({ state }) => state,
    cell: ({ state, detail }) => (
      <span title={detail}>
        <FleetState state={state} />
      </span>
    ),
  },
  {
    id: "reported",
    heading: "Last word",
    width: "120px",
    value: ({ reportedAt }) => reportedAt ?? "",
    cell: ({ reportedAt }) => (reportedAt === null ? "never" : agoText(reportedAt)),
  },
  {
    id: "receipts",
    heading: "Receipts",
    width: "130px",
    value: ({ receipts }) => receipts.refused,
    cell: ({ receipts }) => <Receipts receipts={receipts} />,
  },
  {
    id: "act",
    heading: "Act",
    width: "44px",
    value: ({ device }) => device,
    cell: (device) => <DeviceActs fleet={device} />,
  },
]

function Receipts({ receipts: { good, refused, refusals = [] } }: Pick<FleetDevice, "receipts">) {
  if (refused === 0) return `${good} good`
  return (
    <span
      data-hint={refusals.map(({ reason, code, at }) => `${dateText(at)}: ${reason} (${code})`).join("\n")}
    >
      <StateBadge state="refused">
        {good} good, {refused} refused
      </StateBadge>
    </span>
  )
}

function DeviceActs({ fleet }: { readonly fleet: FleetDevice }) {
  const { device, wanted } = fleet
  return (
    <MoreMenu name={device}>
      <Menu.Item onClick={() => trustReceipts(device)}>Trust a key for its receipts…</Menu.Item>
      <Menu.Item color="red" disabled={wanted === null} onClick={() => openRevokeDevice(fleet)}>
        Take it out of the fleet…
      </Menu.Item>
    </MoreMenu>
  )
}

/** Of an enrolled device the key is known; of one that was only named somebody has to bring it. */
function trustReceipts(device: string): void {
  const trust = async () =>
    bringIn(await chooseFiles(".pem,.pub"), async ([key]) => {
      if (key === undefined) return
      await connection.client.fleet.trustReceipts({ device, key: key.file })
      await refresh("fleet")
      notifications.show({
        title: `Receipts of ${device} count by this key`,
        message: "Those that came before are judged again when they are brought in again.",
      })
    })
  trust().catch(showFailure)
}
