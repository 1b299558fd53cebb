/** A table of any length: only the rows in sight exist. Sorts by a click on a heading; rows open by click or Enter. */
import { UnstyledButton } from "@mantine/core"
import { IconChevronDown, IconChevronUp } from "@tabler/icons-react"
import { useVirtualizer } from "@tanstack/react-virtual"
import { useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from "react"

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

export function DataTable<T extends object>({ label, rows, columns, idOf, onOpen }: Props<T>) {
  const scroller = useRef<HTMLDivElement>(null)
  const [sorting, setSorting] = useState<Sorting | null>(null)
  const sorted = useMemo(() => sortRows(rows, columns, sorting), [rows, columns, sorting])
  const virtual = useVirtualizer({
    count: sorted.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 8,
  })
  const template = columns.map(({ width }) => width).join(" ")
  const open = (event: KeyboardEvent, row: T) => {
    if (event.key === "Enter") onOpen?.(row)
    const sibling =
      event.key === "ArrowDown"
        ? event.currentTarget.nextElementSibling
        : event.key === "ArrowUp"
          ? event.currentTarget.previousElementSibling
          : null
    if (sibling instanceof HTMLElement) {
      sibling.focus()
      event.preventDefault()
    }
  }
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
              <div
                key={idOf(row)}
                role="row"
                aria-rowindex={index + 2}
                className="sw-table-row"
                data-clickable={onOpen !== undefined || undefined}
                tabIndex={onOpen === undefined ? undefined : 0}
                onClick={() => onOpen?.(row)}
                onKeyDown={(event) => open(event, row)}
                style={{
                  gridTemplateColumns: template,
                  transform: `translateY(${start}px)`,
                  height: ROW_HEIGHT,
                }}
              >
                {columns.map((column) => (
                  <div key={column.id} role="cell" data-align={column.align} className="sw-ellipsis">
                    {column.cell(row)}
                  </div>
                ))}
              </div>
            )
          })}
        </div>
      </div>
    </div>
  )
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
