/** Scores of all devices against what chance gives them, with the line where accusation starts. */
import type { TraceResult } from "../../../main/contract/schema/trace.ts"
import { plural } from "../../ui/units.ts"

const [WIDTH, HEIGHT] = [900, 230]
const MARGIN = { left: 44, right: 24, top: 30, bottom: 44 }
const BIN = 0.25
/** Beyond this the axis is compressed, so that a device far out does not squeeze the others into a line. */
const WIDE = 40
const LABELLED = 4

interface Scale {
  readonly x: (z: number) => number
  readonly y: (count: number) => number
  readonly ticks: readonly number[]
}

export function ScorePlot({ result }: { readonly result: TraceResult }) {
  const accused = result.devices.filter((device) => device.accused)
  const rest = result.devices.filter((device) => !device.accused).map(({ z }) => z)
  const limit = accusationScore(result)
  const bins = toBins(rest)
  const scale = toScale(result, bins, limit)
  const floor = scale.y(0)
  const isRight = scale.x(limit) > WIDTH * 0.75
  return (
    <figure className="sw-plot">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`Scores of ${plural(result.devices.length, "device")}: ${plural(accused.length, "device")} beyond the line of accusation at ${limit.toFixed(1)}`}
      >
        {scale.ticks.map((tick) => (
          <g key={tick}>
            <line x1={scale.x(tick)} x2={scale.x(tick)} y1={MARGIN.top} y2={floor} data-part="grid" />
            <text x={scale.x(tick)} y={floor + 16} textAnchor="middle">
              {tick}
            </text>
          </g>
        ))}
        <path d={nullCurve(rest.length, scale)} data-part="null" />
        {bins.map(({ from, count }) => (
          <rect
            key={from}
            x={scale.x(from)}
            width={Math.max(1, scale.x(from + BIN) - scale.x(from) - 0.5)}
            y={scale.y(count)}
            height={floor - scale.y(count)}
            data-part="innocent"
          />
        ))}
        <line x1={MARGIN.left} x2={WIDTH - MARGIN.right} y1={floor} y2={floor} data-part="axis" />
        <line x1={scale.x(limit)} x2={scale.x(limit)} y1={MARGIN.top - 8} y2={floor} data-part="limit" />
        <text
          x={scale.x(limit) + (isRight ? -5 : 5)}
          y={MARGIN.top - 2}
          textAnchor={isRight ? "end" : "start"}
          data-part="limit-label"
        >
          accused beyond this line
        </text>
        {accused.map(({ device, z }, index) => (
          <g key={device}>
            <circle cx={scale.x(z)} cy={floor - 7} r={6} data-part="accused" />
            {index < LABELLED && (
              <text x={scale.x(z)} y={floor - 20 - index * 15} textAnchor="middle" data-part="accused-label">
                {device.slice(0, 32)}
              </text>
            )}
          </g>
        ))}
        <text x={(MARGIN.left + WIDTH - MARGIN.right) / 2} y={HEIGHT - 8} textAnchor="middle">
          deviations above what chance gives (z)
        </text>
      </svg>
      <figcaption className="sw-legend">
        <span data-series="innocent">devices that are not accused</span>
        <span data-series="null">what chance gives them</span>
        <span data-series="accused">accused</span>
      </figcaption>
    </figure>
  )
}

/** The z a device needs: off the normal tail, and between those who are accused and those who are not. */
function accusationScore({ level, tests, devices }: TraceResult): number {
  const guess = Math.sqrt(2 * -Math.log(level / Math.max(1, tests)))
  const of = (accused: boolean) => devices.filter((device) => device.accused === accused).map(({ z }) => z)
  const from = of(false).reduce((most, z) => Math.max(most, z), -Infinity)
  const to = of(true).reduce((least, z) => Math.min(least, z), Infinity)
  return Math.min(Math.max(guess, from), to)
}

function toBins(scores: readonly number[]) {
  const counts = new Map<number, number>()
  for (const z of scores) {
    const index = Math.floor(z / BIN)
    counts.set(index, (counts.get(index) ?? 0) + 1)
  }
  return [...counts].map(([index, count]) => ({ from: index * BIN, count }))
}

function expected(count: number, z: number): number {
  return (count * BIN * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI)
}

function nullCurve(count: number, { x, y }: Scale): string {
  const points = Array.from({ length: 91 }, (_, index) => {
    const z = -4.5 + index * 0.1
    return `${x(z).toFixed(1)},${y(expected(count, z)).toFixed(1)}`
  })
  return `M${points.join("L")}`
}

function toScale(result: TraceResult, bins: ReturnType<typeof toBins>, limit: number): Scale {
  const scores = result.devices.map(({ z }) => z)
  const least = scores.reduce((a, b) => Math.min(a, b), -4.5)
  const most = scores.reduce((a, b) => Math.max(a, b), Math.max(6, limit * 1.15)) * 1.06
  const isWide = most > WIDE
  const bend = (z: number) => (isWide ? Math.sign(z) * Math.log1p(Math.abs(z) / 4) : z)
  const [from, to] = [bend(least), bend(most)]
  const tallest = bins.reduce((most, { count }) => Math.max(most, count), expected(scores.length, 0))
  const inner = HEIGHT - MARGIN.top - MARGIN.bottom
  const ticks = isWide ? [-4, 0, 4, 10, 30, 100, 300, 1000, 3000] : [-4, -2, 0, 2, 4, 6, 8, 10, 15, 20, 30]
  return {
    x: (z) => MARGIN.left + ((bend(z) - from) / (to - from)) * (WIDTH - MARGIN.left - MARGIN.right),
    y: (count) => HEIGHT - MARGIN.bottom - (count / Math.max(1, tallest * 1.15)) * inner,
    ticks: ticks.filter((tick) => tick >= least && tick <= most),
  }
}
