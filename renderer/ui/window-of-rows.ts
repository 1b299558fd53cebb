/** Long lists of rows of one height, of which only those in sight exist. */
import { useVirtualizer, type Virtualizer } from "@tanstack/react-virtual"
import { useEffect, useState, type RefObject } from "react"

/** Head of a screen and status bar, pixels: rows are never there. */
const FRAME_HEIGHT = 90

interface Rows {
  readonly scroller: RefObject<HTMLDivElement | null>
  readonly count: number
  /** Height of a row, pixels. */
  readonly height: number
  /** Rows kept ready on either side of those in sight. */
  readonly spare: number
}

/**
 * The first frame holds what fits into the window and nothing more, without measuring anything first: a change of screen
 * shows its rows at once. Spare rows follow when the window has nothing else to do.
 */
export function useWindowOfRows({
  scroller,
  count,
  height,
  spare,
}: Rows): Virtualizer<HTMLDivElement, Element> {
  const [overscan, setOverscan] = useState(0)
  useEffect(() => {
    const idle = requestIdleCallback(() => setOverscan(spare))
    return () => cancelIdleCallback(idle)
  }, [spare])
  return useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    initialRect: { width: innerWidth, height: innerHeight - FRAME_HEIGHT },
    overscan,
  })
}
