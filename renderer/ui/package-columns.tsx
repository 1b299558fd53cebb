import type { PackageEntry } from "../../main/contract/schema/library.ts"
import type { Column } from "./data-table.tsx"
import { StateBadge } from "./state.tsx"
import { agoText, bytesText, dateText } from "./units.ts"

/** How lists of packages look. */
export const packageColumns: readonly Column<PackageEntry>[] = [
  {
    id: "name",
    heading: "Name",
    width: "minmax(160px, 2fr)",
    value: ({ name }) => name,
    cell: ({ name, bytes }) =>
      bytes === null ? (
        <StateBadge state="refused">{name} (missing)</StateBadge>
      ) : (
        <span title={name}>{name}</span>
      ),
  },
  {
    id: "model",
    heading: "Model",
    width: "minmax(120px, 1.5fr)",
    value: ({ model }) => model ?? "",
    cell: ({ model }) => model ?? "not made here",
  },
  {
    id: "devices",
    heading: "Devices",
    width: "minmax(110px, 1fr)",
    value: ({ devices }) => devices.length,
    cell: ({ devices }) =>
      devices.length === 0 ? "–" : devices.length === 1 ? devices[0] : `${devices.length} devices`,
  },
  {
    id: "mode",
    heading: "Mode",
    width: "90px",
    value: ({ mode }) => mode ?? "",
    cell: ({ mode }) => mode ?? "–",
  },
  {
    id: "bytes",
    heading: "Size",
    width: "90px",
    align: "end",
    value: ({ bytes }) => bytes ?? 0,
    cell: ({ bytes }) => (bytes === null ? "–" : bytesText(bytes)),
  },
  {
    id: "added",
    heading: "Added",
    width: "130px",
    value: ({ addedAt }) => addedAt,
    cell: ({ addedAt }) => <span title={dateText(addedAt)}>{agoText(addedAt)}</span>,
  },
]
