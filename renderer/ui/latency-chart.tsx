/** Latency of every call as it is measured: plain and sealed interleaved, with their running medians and 99th percentiles. */
import { Text, useComputedColorScheme } from "@mantine/core"
import { useEffect, useRef } from "react"
import uPlot from "uplot"
import "uplot/dist/uPlot.min.css"
import { millisecondsText, plural } from "./units.ts"

export type Calls = readonly (readonly [plainMs: number, sealedMs: number])[]

const HEIGHT = 260

export function LatencyChart({ calls }: { readonly calls: Calls }) {
  const holder = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | null>(null)
  const limit = limitOf(calls)
  const above = calls.filter(([plain, sealed]) => Math.max(plain, sealed) > limit)
  const scheme = useComputedColorScheme("light")
  useEffect(() => {
    const element = holder.current
    if (element === null) return
    const made = new uPlot(options(element), toSeries([]), element)
    chart.current = made
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      chart.current = null
    }
  }, [scheme])
  useEffect(() => chart.current?.setData(toSeries(calls)), [calls, scheme])
  return (
    <>
      <div
        ref={holder}
        role="img"
        aria-label={describe(calls)}
        className="sw-chart"
        style={{ minHeight: HEIGHT }}
      />
      {above.length > 0 && (
        <Text size="xs" c="dimmed">
          {plural(above.length, "call")} above the edge, the slowest{" "}
          {millisecondsText(Math.max(...above.flat()))}: they count in every figure.
        </Text>
      )}
    </>
  )
}

/**
 * The highest latency the chart shows. A call that some other program held up is a hundred times the median: drawn to
 * scale, it would leave nothing of the others to see.
 */
function limitOf(calls: Calls): number {
  if (calls.length === 0) return Number.POSITIVE_INFINITY
  const all = calls.flat()
  const median = quantile(all, 0.5)
  // The lines of the 99th percentile are seen as long as the dots are.
  const p99 = Math.max(
    ...[0, 1].map((column) =>
      quantile(
        calls.map((call) => call[column] ?? 0),
        0.99,
      ),
    ),
  )
  return Math.max(LEAST * median, 1.5 * quantile(all, 0.95), Math.min(1.1 * p99, MOST * median))
}

/** How many medians the chart is high. */
const [LEAST, MOST] = [4, 15]

/** The value below which `share` of the values lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

function describe(calls: Calls): string {
  if (calls.length === 0) return "Latency: nothing measured yet"
  const [plain, sealed] = [calls.map(([ms]) => ms), calls.map(([, ms]) => ms)]
  return `Latency of ${calls.length} calls: median ${quantile(plain, 0.5).toFixed(2)} ms plain, ${quantile(sealed, 0.5).toFixed(2)} ms sealed`
}

/** Running quantiles are taken over everything so far, at a few dozen points: enough to see them settle. */
function toSeries(calls: Calls): uPlot.AlignedData {
  const x: number[] = []
  const columns: (number | null)[][] = [[], [], [], [], [], []]
  const step = Math.max(1, Math.ceil(calls.length / 40))
  const limit = limitOf(calls)
  for (const [index, [plain, sealed]] of calls.entries()) {
    x.push(index + 1)
    const isPoint = index === calls.length - 1 || index % step === 0
    const soFar = isPoint ? calls.slice(0, index + 1) : []
    const running = (column: 0 | 1, share: number) =>
      isPoint
        ? quantile(
            soFar.map((call) => call[column]),
            share,
          )
        : null
    const row = [plain, sealed, running(0, 0.5), running(1, 0.5), running(0, 0.99), running(1, 0.99)]
    for (const [column, value] of row.entries())
      columns[column]?.push(value === null ? null : Math.min(value, limit))
  }
  return [x, ...columns]
}

function options(element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element)
  const color = (name: string) => style.getPropertyValue(name).trim()
  const axis = {
    stroke: color("--mantine-color-dimmed"),
    grid: { stroke: color("--sw-line"), width: 1 },
    font: "12px system-ui",
  }
  const dots = (label: string, name: string): uPlot.Series => ({
    label,
    stroke: color(name),
    paths: () => null,
    points: { show: true, size: 4, fill: color(name) },
  })
  const line = (label: string, name: string, dash: number[]): uPlot.Series => ({
    label,
    stroke: color(name),
    width: 1.5,
    dash,
    spanGaps: true,
    points: { show: false },
  })
  return {
    width: Math.max(200, element.clientWidth),
    height: HEIGHT,
    cursor: { show: false },
    legend: { show: false },
    scales: {
      x: { time: false },
      y: { range: (_plot, _min, max) => [0, Number.isFinite(max) ? max * 1.05 : 1] },
    },
    axes: [
      { ...axis, label: "call", labelSize: 18, size: 34 },
      { ...axis, label: "milliseconds", labelSize: 18, size: 46 },
    ],
    series: [
      {},
      dots("plain", "--sw-plain"),
      dots("sealed", "--sw-sealed"),
      line("plain p50", "--sw-plain", []),
      line("sealed p50", "--sw-sealed", []),
      line("plain p99", "--sw-plain", [4, 4]),
      line("sealed p99", "--sw-sealed", [4, 4]),
    ],
  }
}
