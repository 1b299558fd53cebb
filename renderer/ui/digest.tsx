import { useEffect, useState } from "react"
import { showFailure } from "./confirm.tsx"

const COPIED_MS = 1000

/** A digest or key, shortened in the middle as people compare them; a click copies all of it. */
export function Digest({ value, label }: { readonly value: string; readonly label: string }) {
  const [isCopied, setIsCopied] = useState(false)
  useEffect(() => {
    if (!isCopied) return
    const timer = setTimeout(() => setIsCopied(false), COPIED_MS)
    return () => clearTimeout(timer)
  }, [isCopied])
  const copy = async () => {
    await navigator.clipboard.writeText(value)
    setIsCopied(true)
  }
  const short = value.length <= 26 ? value : `${value.slice(0, 15)}…${value.slice(-8)}`
  return (
    <button
      type="button"
      className="sw-digest"
      data-hint={value}
      onClick={() => void copy().catch(showFailure)}
    >
      <span className="sw-hidden">Copy {label}: </span>
      {isCopied ? "copied" : short}
    </button>
  )
}
