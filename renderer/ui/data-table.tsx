/** A table of any length: only the rows in sight exist. Sorts by a click on a heading; rows open by click or Enter. */
import { UnstyledButton } from "@mantine/core"
import { IconChevronDown, IconChevronUp } from "@tabler/icons-react"
import { memo, useDeferredValue, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from "react"
import { useWindowOfRows } from "./window-of-rows.ts"

export interface Column<T> {
  readonly id: string
  readonly heading: string
  /** What the column sorts by. */
  readonly value: (row: T) => string | number
  readonly cell: (row: T) => ReactNode
  /** A grid track, such as `2fr` or `120px`. */
  readonly width: string
  readonly align?: "end"
}

interface Props<T> {
  readonly label: string
  readonly rows: readonly T[]
  readonly columns: readonly Column<T>[]
  readonly idOf: (row: T) => string
  readonly onOpen?: (row: T) => void
}

const ROW_HEIGHT = 34
const collator = new Intl.Collator("en", { numeric: true })

interface Sorting {
  readonly column: string
  readonly isDescending: boolean
}

/** Its functions and columns should be the same from one render to the next: then a row is drawn once. */
export function DataTable<T extends object>({ label, rows, columns, idOf, onOpen }: Props<T>) {
  const scroller = useRef<HTMLDivElement>(null)
  const [sorting, setSorting] = useState<Sorting | null>(null)
  // The heading answers at once; the rows follow.
  const order = useDeferredValue(sorting)
  const sorted = useMemo(() => sortRows(rows, columns, order), [rows, columns, order])
  const virtual = useWindowOfRows({ scroller, count: sorted.length, height: ROW_HEIGHT, spare: 8 })
  const template = columns.map(({ width }) => width).join(" ")
  return (
    <div className="sw-table" role="table" aria-label={label} aria-rowcount={rows.length + 1}>
      <div role="rowgroup">
        <div className="sw-table-head" role="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
          {columns.map((column) => {
            const state = sorting?.column !== column.id ? null : sorting.isDescending ? "desc" : "asc"
            return (
              <div
                key={column.id}
                role="columnheader"
                aria-sort={state === null ? "none" : state === "asc" ? "ascending" : "descending"}
                data-align={column.align}
              >
                <UnstyledButton
                  onClick={() => setSorting(nextSorting(sorting, column.id))}
                  className="sw-table-sort"
                >
                  {column.heading}
                  {state === "asc" && <IconChevronUp size={12} aria-hidden />}
                  {state === "desc" && <IconChevronDown size={12} aria-hidden />}
                </UnstyledButton>
              </div>
            )
          })}
        </div>
      </div>
      <div
        ref={scroller}
        className="sw-table-body"
        role="rowgroup"
        tabIndex={0}
        aria-label={`${label}, rows`}
      >
        <div style={{ height: virtual.getTotalSize(), position: "relative" }} role="presentation">
          {virtual.getVirtualItems().map(({ index, start }) => {
            const row = sorted[index]
            if (row === undefined) return null
            return (
              <Row
                key={idOf(row)}
                row={row}
                index={index}
                start={start}
                columns={columns}
                template={template}
                onOpen={onOpen}
              />
            )
          })}
        </div>
      </div>
    </div>
  )
}

interface RowProps<T> extends Pick<Props<T>, "columns"> {
  readonly onOpen: Props<T>["onOpen"]
  readonly row: T
  readonly index: number
  /** Where it stands, in pixels from the first. */
  readonly start: number
  readonly template: string
}

function TableRow<T>({ row, index, start, columns, template, onOpen }: RowProps<T>) {
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className="sw-table-row"
      data-clickable={onOpen !== undefined || undefined}
      tabIndex={onOpen === undefined ? undefined : 0}
      onClick={() => onOpen?.(row)}
      onKeyDown={(event) => {
        if (event.key === "Enter") onOpen?.(row)
        else goToNeighbour(event)
      }}
      style={{ gridTemplateColumns: template, transform: `translateY(${start}px)`, height: ROW_HEIGHT }}
    >
      {columns.map((column) => (
        <div key={column.id} role="cell" data-align={column.align} className="sw-ellipsis">
          {column.cell(row)}
        </div>
      ))}
    </div>
  )
}

// `memo` forgets that the component is generic.
const Row = memo(TableRow) as typeof TableRow

function goToNeighbour(event: KeyboardEvent): void {
  const { key, currentTarget } = event
  const neighbour =
    key === "ArrowDown"
      ? currentTarget.nextElementSibling
      : key === "ArrowUp"
        ? currentTarget.previousElementSibling
        : null
  if (!(neighbour instanceof HTMLElement)) return
  neighbour.focus()
  event.preventDefault()
}

/** Up, then down, then as it came. */
function nextSorting(sorting: Sorting | null, column: string): Sorting | null {
  if (sorting?.column !== column) return { column, isDescending: false }
  return sorting.isDescending ? null : { column, isDescending: true }
}

function sortRows<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  sorting: Sorting | null,
): readonly T[] {
  const column = columns.find(({ id }) => id === sorting?.column)
  if (sorting === null || column === undefined) return rows
  const direction = sorting.isDescending ? -1 : 1
  return rows.toSorted((a, b) => direction * compare(column.value(a), column.value(b)))
}

function compare(a: string | number, b: string | number): number {
  return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b))
}
