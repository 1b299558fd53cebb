/**
 * The linear assignment problem: which of the suspect's channels is which of the original's. Jonker & Volgenant, Computing
 * 38 (1987), in its shortest-augmenting-path form for rectangular matrices (Crouse, IEEE TAES 52 (2016)).
 */

import { STRETCH, type Work } from "./work.ts"

/**
 * For each row the column it is given so that the sum of `gain` is largest; rows <= columns. `gain` is rows x columns in C
 * order, finite. O(rows² · columns); ties go to the lower column, so the answer depends on nothing but the matrix.
 */
export function* assign(gain: Float64Array, rows: number, columns: number): Work<Int32Array> {
  if (rows > columns) throw new RangeError(`${rows} rows cannot have ${columns} columns of their own`)
  const rowPrice = new Float64Array(rows)
  const columnPrice = new Float64Array(columns)
  const columnOf = new Int32Array(rows).fill(-1)
  const rowOf = new Int32Array(columns).fill(-1)
  const distance = new Float64Array(columns)
  const cameFrom = new Int32Array(columns)
  const isDone = new Uint8Array(columns)
  const visitedRows = new Int32Array(rows)
  let since = 0

  for (let start = 0; start < rows; start += 1) {
    distance.fill(Infinity)
    isDone.fill(0)
    let visited = 0
    let row = start
    let reached = 0
    let sink = -1
    while (sink < 0) {
      visitedRows[visited++] = row
      since += columns
      if (since >= STRETCH) {
        since = 0
        yield
      }
      const base = row * columns
      const price = rowPrice[row] ?? 0
      let nearest = -1
      let least = Infinity
      for (let column = 0; column < columns; column += 1) {
        if (isDone[column] === 1) continue
        const length = reached - (gain[base + column] ?? 0) - price - (columnPrice[column] ?? 0)
        if (length < (distance[column] ?? 0)) {
          distance[column] = length
          cameFrom[column] = row
        }
        const known = distance[column] ?? 0
        // Among equals a free column ends the search at once.
        if (
          known < least ||
          (known === least && nearest >= 0 && rowOf[nearest] !== -1 && rowOf[column] === -1)
        ) {
          least = known
          nearest = column
        }
      }
      if (nearest < 0) throw new RangeError("the gains are not finite")
      reached = least
      isDone[nearest] = 1
      if (rowOf[nearest] === -1) sink = nearest
      else row = rowOf[nearest] ?? 0
    }
    rowPrice[start] = (rowPrice[start] ?? 0) + reached
    for (let i = 1; i < visited; i += 1) {
      const other = visitedRows[i] ?? 0
      rowPrice[other] = (rowPrice[other] ?? 0) + reached - (distance[columnOf[other] ?? 0] ?? 0)
    }
    for (let column = 0; column < columns; column += 1) {
      if (isDone[column] === 1)
        columnPrice[column] = (columnPrice[column] ?? 0) - reached + (distance[column] ?? 0)
    }
    for (let column = sink; ;) {
      const from = cameFrom[column] ?? 0
      rowOf[column] = from
      const next = columnOf[from] ?? -1
      columnOf[from] = column
      if (from === start) break
      column = next
    }
  }
  return columnOf
}
