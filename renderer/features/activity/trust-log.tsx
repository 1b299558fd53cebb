/** The signed log of what was said to devices, and who may say it: nothing in it can be changed or left out unseen. */
import { Title } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { LogEntry } from "../../../main/contract/schema/log.ts"
import { queries } from "../../api/queries.ts"
import { DataTable, type Column } from "../../ui/data-table.tsx"
import { Digest } from "../../ui/digest.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { agoText, dateText, plural } from "../../ui/units.ts"

const ROW_HEIGHT = 34
const MAX_HEIGHT = 320

export function TrustLog() {
  const { data, error, refetch } = useQuery(queries.log)
  if (error !== null) return <FailureNotice error={error} onRetry={() => void refetch()} />
  if (data === undefined) return null
  return (
    <section aria-label="Log of trust acts">
      <div className="sw-line">
        <Title order={2} size="h5" mr="auto">
          Log of trust acts
        </Title>
        <span className="sw-small">{plural(data.size, "act")}, signed, root</span>
        <Digest value={data.root} label="root of the log" />
      </div>
      <div
        className="sw-table-box"
        style={{ height: Math.min(MAX_HEIGHT, (data.entries.length + 1) * ROW_HEIGHT) }}
      >
        <DataTable label="Trust acts" rows={data.entries.toReversed()} columns={COLUMNS} idOf={idOf} />
      </div>
    </section>
  )
}

function idOf({ index }: LogEntry): string {
  return String(index)
}

const ACTS: Readonly<Record<string, string>> = {
  trust: "signed",
  publish: "published",
  direct: "told again",
  revoke: "revoked",
  receipts: "receipts read",
}

const COLUMNS: readonly Column<LogEntry>[] = [
  { id: "index", heading: "No.", width: "52px", value: ({ index }) => index, cell: ({ index }) => index },
  {
    id: "act",
    heading: "Act",
    width: "140px",
    value: ({ act }) => act,
    cell: ({ act }) => ACTS[act] ?? act,
  },
  {
    id: "what",
    heading: "What",
    width: "minmax(160px, 1fr)",
    value: ({ what }) => what,
    cell: ({ what }) => <span title={what}>{what}</span>,
  },
  {
    id: "time",
    heading: "When",
    width: "130px",
    value: ({ time }) => time,
    cell: ({ time }) => <span title={dateText(time)}>{agoText(time)}</span>,
  },
]
