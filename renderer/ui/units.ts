/** How numbers read: a unit and two significant figures more than the reader needs to compare. */

export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"]
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1
  return `${value.toFixed(digits)} ${units[unit] ?? ""}`
}

export function countText(count: number): string {
  if (count < 10_000) return count.toLocaleString("en")
  const [value, unit] =
    count < 1e6 ? [count / 1e3, "k"] : count < 1e9 ? [count / 1e6, "M"] : [count / 1e9, "G"]
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${unit}`
}

export function millisecondsText(ms: number): string {
  return ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms >= 100 ? ms.toFixed(0) : ms.toPrecision(2)} ms`
}

export function durationText(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0)} s`
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}

export function percentText(share: number, digits = 1): string {
  return `${(share * 100).toFixed(digits)} %`
}

export function shapeText(shape: readonly (number | string | null)[] | null): string {
  return shape === null
    ? "any shape"
    : shape.length === 0
      ? "scalar"
      : shape.map((size) => size ?? "?").join(" × ")
}

// Making a format costs more than a hundred uses of it.
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" })
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" })
const whole = new Intl.NumberFormat("en")

/** The exact time, in the words of the user's system. */
export function dateText(time: string | number): string {
  return exact.format(new Date(time))
}

/** "3 minutes ago"; the exact time belongs in a tooltip. */
export function agoText(time: string | number, now = Date.now()): string {
  const seconds = Math.round((now - new Date(time).getTime()) / 1000)
  if (seconds < 10) return "just now"
  if (seconds < 60) return relative.format(-seconds, "second")
  if (seconds < 3600) return relative.format(-Math.round(seconds / 60), "minute")
  if (seconds < 86_400) return relative.format(-Math.round(seconds / 3600), "hour")
  return relative.format(-Math.round(seconds / 86_400), "day")
}

export function plural(count: number, noun: string, many = `${noun}s`): string {
  return `${whole.format(count)} ${count === 1 ? noun : many}`
}
