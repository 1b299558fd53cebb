/** Chances by their logarithms, as people read them. */

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"

/** `10⁻⁴²`; in decimals what is not small. */
export function chanceText(log10: number): string {
  if (log10 >= 0) return "1"
  if (log10 > -3) return (10 ** log10).toPrecision(2)
  return `10⁻${raised(Math.floor(-log10 + 1e-9))}`
}

/** `1 in 10⁴²`, which no line breaks in two. */
export function oddsText(log10: number): string {
  return `1\u00a0in\u00a010${raised(Math.floor(-log10 + 1e-9))}`
}

function raised(exponent: number): string {
  return Array.from(String(exponent), (digit) => RAISED[Number(digit)] ?? "").join("")
}
