/** How things read in a terminal. */
import type { Check } from "../contract/schema/verify.ts"

export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"]
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? value.toFixed(0) : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)} ${units[unit] ?? ""}`
}

export function durationText(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0)} s`
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}

/** Columns wide enough for their longest cell; the last one is not padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>(
    (all, row) => row.map((cell, column) => Math.max(all[column] ?? 0, cell.length)),
    [],
  )
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n")
}

export function shapeText(shape: readonly (number | string | null)[] | null): string {
  return shape === null ? "[?]" : `[${shape.map((size) => size ?? "?").join(", ")}]`
}

/** Long digests, shortened in the middle as people compare them. */
export function shortDigest(digest: string): string {
  return digest.length <= 24 ? digest : `${digest.slice(0, 16)}…${digest.slice(-6)}`
}

export function notAppliedText(items: readonly { readonly what: string; readonly why: string }[]): string {
  return items.map(({ what, why }) => `  not applied: ${what} (${why})`).join("\n")
}

/** Text from a file of a stranger, with nothing in it that a terminal would act on. */
export function safeText(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, "�")
}

/** One check of a verdict. */
export function checkLine(check: Check): string {
  const word = { passed: "ok     ", failed: "FAILED ", skipped: "skipped" }[check.result]
  return `${word} ${check.title}: ${safeText(check.reason)}${check.code === null ? "" : ` [${check.code}]`}`
}
