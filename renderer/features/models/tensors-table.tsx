import { TextInput } from "@mantine/core"
import { useMemo } from "react"
import type { ModelSummary } from "../../../main/contract/schema/inspect.ts"
import { DataTable, type Column } from "../../ui/data-table.tsx"
import { useSearch } from "../../ui/search.ts"
import { StateBadge } from "../../ui/state.tsx"
import { bytesText, shapeText } from "../../ui/units.ts"

type Tensor = ModelSummary["tensors"][number]
type Row = Tensor & { readonly index: number }

export function TensorsTable({ tensors }: { readonly tensors: ModelSummary["tensors"] }) {
  // Names need not be unique across subgraphs, so the place in the list is part of the identity.
  const rows = useMemo(() => tensors.map((tensor, index) => ({ ...tensor, index })), [tensors])
  const search = useSearch(rows, wordsOf)
  return (
    <>
      <TextInput
        aria-label="Find tensors"
        placeholder="Find by name or type"
        value={search.text}
        onChange={(event) => search.setText(event.currentTarget.value)}
        w={280}
        my={8}
      />
      <DataTable label="Tensors" rows={search.found} columns={COLUMNS} idOf={idOf} />
    </>
  )
}

function wordsOf({ name, type }: Row): readonly string[] {
  return [name, type]
}

function idOf({ index }: Row): string {
  return String(index)
}

const COLUMNS: readonly Column<Row>[] = [
  {
    id: "name",
    heading: "Name",
    width: "minmax(160px, 3fr)",
    value: ({ name }) => name,
    cell: ({ name, path }) => <span title={`${path} ${name}`}>{name === "" ? "(no name)" : name}</span>,
  },
  {
    id: "shape",
    heading: "Shape",
    width: "minmax(110px, 1fr)",
    value: ({ shape }) => shape.reduce((product, size) => product * size, 1),
    cell: ({ shape }) => shapeText(shape),
  },
  {
    id: "type",
    heading: "Type",
    width: "90px",
    value: ({ type }) => type,
    cell: ({ type }) => type.toLowerCase(),
  },
  {
    id: "bytes",
    heading: "Size",
    width: "90px",
    align: "end",
    value: ({ bytes }) => bytes,
    cell: ({ bytes }) => bytesText(bytes),
  },
  {
    id: "storage",
    heading: "Stored",
    width: "90px",
    value: ({ storage }) => storage,
    cell: ({ storage }) => storage,
  },
  {
    id: "mark",
    heading: "Can carry a mark",
    width: "minmax(160px, 2fr)",
    value: ({ mark }) => (mark === null ? 2 : mark.carries ? 0 : 1),
    cell: ({ mark }) =>
      mark === null ? (
        <span title="Not a weight of a layer">–</span>
      ) : mark.carries ? (
        <StateBadge state="verified">yes</StateBadge>
      ) : (
        <span title={mark.why ?? ""}>{`no: ${mark.why ?? ""}`}</span>
      ),
  },
]
