/**
 * One tooltip for the whole window: whatever carries `data-hint` shows that text under the pointer or the keyboard's focus.
 * Lists hold hundreds of such places, so a place costs one attribute and no component.
 */
import { useEffect, useRef, useState } from "react"

const ID = "sw-hint"
const DELAY_MS = 300
const GAP = 6

interface Shown {
  readonly text: string
  readonly place: HTMLElement
}

export function HintLayer() {
  const [shown, setShown] = useState<Shown | null>(null)
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => followHints(setShown), [])
  useEffect(() => {
    const { current } = box
    if (shown === null || current === null) return
    const { place } = shown
    // In the top layer, so that it is seen over dialogs too.
    current.showPopover()
    position(current, place.getBoundingClientRect())
    place.setAttribute("aria-describedby", ID)
    return () => {
      place.removeAttribute("aria-describedby")
      if (current.matches(":popover-open")) current.hidePopover()
    }
  }, [shown])
  return (
    <div ref={box} id={ID} role="tooltip" popover="manual" className="sw-hint">
      {shown?.text}
    </div>
  )
}

/** Tells what to show; answers how to stop. */
function followHints(show: (shown: Shown | null) => void): () => void {
  let place: HTMLElement | null = null
  let timer: ReturnType<typeof setTimeout> | undefined
  const move = (next: HTMLElement | null) => {
    if (next === place) return
    place = next
    clearTimeout(timer)
    show(null)
    if (next === null) return
    timer = setTimeout(() => {
      const text = next.getAttribute("data-hint")
      if (next.isConnected && text !== null) show({ text, place: next })
    }, DELAY_MS)
  }
  const hide = () => move(null)
  const enter = ({ target }: Event) => move(target instanceof Element ? target.closest("[data-hint]") : null)
  const focus = (event: Event) => {
    if (event.target instanceof Element && event.target.matches(":focus-visible")) enter(event)
  }
  const key = ({ key }: KeyboardEvent) => {
    if (key === "Escape") hide()
  }
  const listeners: readonly (readonly [name: string, listener: (event: never) => void])[] = [
    ["pointerover", enter],
    ["focusin", focus],
    ["focusout", hide],
    ["pointerdown", hide],
    ["scroll", hide],
    ["keydown", key],
  ]
  const options = { capture: true, passive: true }
  // The table above pairs each event with a listener of its own kind.
  for (const [name, listener] of listeners)
    document.addEventListener(name, listener as EventListener, options)
  return () => {
    clearTimeout(timer)
    for (const [name, listener] of listeners)
      document.removeEventListener(name, listener as EventListener, options)
  }
}

/** Under its place, or above it where the window ends. */
function position(box: HTMLElement, place: DOMRect): void {
  const { width, height } = box.getBoundingClientRect()
  const left = Math.min(Math.max(GAP, place.left + (place.width - width) / 2), innerWidth - width - GAP)
  const below = place.bottom + GAP
  const top = below + height + GAP > innerHeight ? place.top - height - GAP : below
  box.style.left = `${left}px`
  box.style.top = `${top}px`
}
