import { useDeferredValue, useEffect, useMemo, useState } from "react"

export interface Search<T> {
  /** What the field shows: every key at once. */
  readonly text: string
  readonly setText: (text: string) => void
  /** What was found: rows follow the field by a frame, so that it never waits for them. */
  readonly found: readonly T[]
}

/**
 * Rows that hold a text in one of the words `wordsOf` names. Words are put in lower case once a list and not before somebody
 * searches, so that a key costs one search through plain strings.
 */
export function useSearch<T>(rows: readonly T[], wordsOf: (row: T) => readonly string[]): Search<T> {
  const [text, setText] = useState("")
  const wanted = useDeferredValue(text.trim().toLowerCase())
  // A browser that draws a list for the first time takes twice as long: its rows then follow the screen by a frame.
  const drawn = useDeferredValue(rows, drawnBefore.has(wordsOf) ? rows : NONE)
  useEffect(() => {
    drawnBefore.add(wordsOf)
  }, [wordsOf])
  const found = useMemo(() => {
    if (wanted === "") return drawn
    const lowered = loweredWords(drawn, wordsOf)
    return drawn.filter((_, index) => lowered[index]?.includes(wanted))
  }, [drawn, wordsOf, wanted])
  return { text, setText, found }
}

const NONE: readonly never[] = []
/** Lists that were on the screen in this window, by the function that is theirs. */
const drawnBefore = new WeakSet<object>()
/** By list: the one on the screen, which is another one whenever something in it changed. */
const words = new WeakMap<readonly unknown[], readonly string[]>()

function loweredWords<T>(rows: readonly T[], wordsOf: (row: T) => readonly string[]): readonly string[] {
  const known = words.get(rows)
  if (known !== undefined) return known
  const lowered = rows.map((row) => wordsOf(row).join("\n").toLowerCase())
  words.set(rows, lowered)
  return lowered
}
