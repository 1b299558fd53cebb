/** The page of a validation: did sealing change anything, and what does it cost. */
import * as Plot from "@observablehq/plot"
import type { Lane, Validation } from "../../contract/schema/validate.ts"
import { facts, page, plotFigure, section, type Figure } from "./page.ts"
import { plot, SERIES } from "./plots.ts"

export function validationPage(validation: Validation): string {
  const { package: pkg, model, level, batch, data } = validation
  const body = [
    gateSection(validation),
    latencySection(validation),
    lanesSection(validation),
    loadSection(validation),
    accuracySection(validation),
    memorySection(validation),
    notAppliedSection(validation),
    methodSection(validation),
  ]
  return page(
    `Validation of ${pkg.name}`,
    `${model.name} on ${data.name}: ${data.rows} rows in batches of ${batch}, sealed runtime level ${level}, ${validation.createdAt}`,
    figures(validation),
    body.join("\n"),
  )
}

function figures(validation: Validation): readonly Figure[] {
  const { equality, latencyMs, accuracy, loadMs } = validation
  const isIdentical = equality.identicalRows === equality.rows
  return [
    {
      label: "Outputs identical to the last bit",
      value: `${equality.identicalRows} of ${equality.rows}`,
      note: isIdentical
        ? equality.comparedWith === "original"
          ? "rows; no difference anywhere"
          : "rows; sealed against the same marked copy in an ordinary process"
        : `largest difference ${equality.maxAbsoluteDifference.toPrecision(2)}`,
      state: isIdentical ? "good" : "attention",
    },
    {
      label: "Median latency a batch",
      value: `${ms(latencyMs.plain.p50)} → ${ms(latencyMs.sealed.p50)}`,
      note: `plain → sealed, ratio ${latencyMs.overhead.toFixed(3)}`,
      state: "plain",
    },
    ...(accuracy === null
      ? []
      : [
          {
            label: accuracy.kind === "top-1" ? "Accuracy (top-1)" : "R²",
            value: `${score(accuracy, accuracy.plain)} → ${score(accuracy, accuracy.sealed)}`,
            note: `plain → sealed; same answer on ${percent(accuracy.agreement)}`,
            state: accuracy.sealed >= accuracy.plain ? ("good" as const) : ("attention" as const),
          },
        ]),
    {
      label: "Load to first inference",
      value: `${ms(loadMs.plain)} → ${ms(loadMs.sealed)}`,
      note: `plain → sealed, ratio ${(loadMs.sealed / loadMs.plain).toFixed(2)}`,
      state: "plain",
    },
  ]
}

function latencySection({ samplesMs, latencyMs }: Validation): string {
  const samples = [
    ...samplesMs.plain.map((value, call) => ({ series: "plain", value, call })),
    ...samplesMs.sealed.map((value, call) => ({ series: "sealed", value, call })),
  ]
  const limit = Math.max(latencyMs.plain.p99, latencyMs.sealed.p99) * 1.1
  const medians = SERIES.domain.map((series) => ({
    series,
    value: series === "plain" ? latencyMs.plain.p50 : latencyMs.sealed.p50,
  }))
  const distribution = plot({
    height: 240,
    color: { ...SERIES, legend: true },
    x: { label: "milliseconds a batch", domain: [0, limit], grid: true },
    y: { label: "calls" },
    marks: [
      Plot.rectY(
        samples,
        Plot.binX<Plot.RectYOptions>(
          { y2: "count" },
          { x: { value: "value", thresholds: 60, domain: [0, limit] }, fill: "series", fillOpacity: 0.55 },
        ),
      ),
      Plot.ruleX(medians, { x: "value", stroke: "series", strokeWidth: 2, strokeDasharray: "4 3" }),
      Plot.ruleY([0]),
    ],
  })
  const course = plot({
    height: 200,
    color: SERIES,
    x: { label: "call" },
    y: { label: "milliseconds", domain: [0, limit], grid: true, clamp: true },
    marks: [Plot.dot(samples, { x: "call", y: "value", stroke: "series", r: 1.5 })],
  })
  const row = (name: string, value: typeof latencyMs.plain) =>
    [
      name,
      `p50 ${ms(value.p50)}, p90 ${ms(value.p90)}, p99 ${ms(value.p99)}, mean ${ms(value.mean)}`,
    ] as const
  return section(
    "Latency",
    "Each batch went to both, in alternating order. Dashed lines are medians. Plain is the time inside the inference engine; sealed is the whole way to the sealed process and back.",
    plotFigure(distribution, "Histogram of latency, plain and sealed") +
      plotFigure(course, "Latency of every call in order, plain and sealed") +
      facts([
        row("plain", latencyMs.plain),
        row("sealed", latencyMs.sealed),
        ["timed calls of each", String(latencyMs.batches)],
      ]),
  )
}

function lanesSection({ lanes, skippedLanes }: Validation): string {
  if (lanes.length === 0) return ""
  const rows = lanes.map((lane) => ({ ...lane, title: laneTitle(lane.name) }))
  const chart = plot({
    height: 50 + 34 * rows.length,
    marginLeft: 130,
    x: { label: "milliseconds a batch", grid: true, zero: true },
    y: { label: null, domain: rows.map(({ title }) => title) },
    marks: [
      Plot.ruleY(rows, {
        y: "title",
        x1: (lane: Lane) => lane.latencyMs.p50,
        x2: (lane: Lane) => lane.latencyMs.p95,
        strokeOpacity: 0.35,
        strokeWidth: 4,
      }),
      Plot.ruleY(rows, {
        y: "title",
        x1: (lane: Lane) => lane.latencyMs.p50Low,
        x2: (lane: Lane) => lane.latencyMs.p50High,
        strokeWidth: 6,
      }),
      Plot.dot(rows, { y: "title", x: (lane: Lane) => lane.latencyMs.p50, r: 4, fill: "currentColor" }),
    ],
  })
  return section(
    "Every level side by side",
    "Each batch went to all of them in turn. Dots are medians with their 95 % confidence interval; the thin line reaches to the 95th percentile. All are timed from the caller and back.",
    plotFigure(chart, "Median latency of every level, with intervals") +
      facts([
        ...rows.map(
          ({ title, latencyMs, overhead, loadMs, peakMemoryBytes, identicalRows, rowsCompared, name }) =>
            [
              title,
              `p50 ${ms(latencyMs.p50)} (×${overhead.p50.toFixed(2)}), p95 ${ms(latencyMs.p95)} (×${overhead.p95.toFixed(2)}), p99 ${ms(latencyMs.p99)}, load ${ms(loadMs)}, peak ${(peakMemoryBytes / 1e6).toFixed(0)} MB${name === "plain" || name === "firewall" ? "" : `, ${identicalRows} of ${rowsCompared} rows identical`}`,
            ] as const,
        ),
        ...skippedLanes.map(({ name, why }) => [laneTitle(name), `not measured: ${why}`] as const),
      ]),
  )
}

function gateSection({ gate }: Validation): string {
  return section(
    gate.passed ? "Gate: passed" : "Gate: failed",
    "Limits that were given before the measurement.",
    facts(
      gate.lines.map(
        ({ limit, wanted, measured, passed }) =>
          [limit, `${passed ? "kept" : "broken"}: ${measured}, wanted ${wanted}`] as const,
      ),
    ),
  )
}

function laneTitle(name: string): string {
  return name === "plain" ? "plain process" : name === "firewall" ? "with firewall" : `sealed, ${name}`
}

function loadSection({ loadMs }: Validation): string {
  const other = Math.max(0, loadMs.sealed - loadMs.decrypt - loadMs.verify - loadMs.session)
  const parts = [
    { series: "plain", part: "read, start process, session", value: loadMs.plain },
    { series: "sealed", part: "start process", value: other },
    { series: "sealed", part: "decrypt", value: loadMs.decrypt },
    { series: "sealed", part: "verify signature and digests", value: loadMs.verify },
    { series: "sealed", part: "session", value: loadMs.session },
  ]
  const bars = plot({
    height: 130,
    color: { legend: true, scheme: "Tableau10" },
    x: { label: "milliseconds from start of the process to a loaded model", grid: true },
    y: { label: null },
    marks: [Plot.barX(parts, { x: "value", y: "series", fill: "part" }), Plot.ruleX([0])],
  })
  return section(
    "Loading",
    "Median of the loads that were made; each in a fresh process.",
    plotFigure(bars, "Load time by part, plain and sealed"),
  )
}

function accuracySection({ accuracy, equality }: Validation): string {
  if (accuracy === null) return section("Accuracy", "No labels were given, so accuracy was not measured.", "")
  const values = SERIES.domain.map((series) => ({
    series,
    value: series === "plain" ? accuracy.plain : accuracy.sealed,
  }))
  const isShare = accuracy.kind === "top-1"
  const bars = plot({
    height: 110,
    color: SERIES,
    x: { label: isShare ? "share of rows with the right class" : "R²", domain: [0, 1], grid: true },
    y: { label: null },
    marks: [
      Plot.barX(values, { x: "value", y: "series", fill: "series" }),
      Plot.text(values, {
        x: "value",
        y: "series",
        text: (d: { readonly value: number }) => score(accuracy, d.value),
        textAnchor: "end",
        dx: -6,
        fill: "white",
        fontWeight: "bold",
      }),
      Plot.ruleX([0]),
    ],
  })
  return section(
    "Accuracy",
    `On the labels given, over ${equality.rows} rows.`,
    plotFigure(bars, "Accuracy, plain and sealed") +
      facts([["rows with the same answer", percent(accuracy.agreement)]]),
  )
}

function memorySection({ peakMemoryBytes, model }: Validation): string {
  return section(
    "Memory",
    "Largest resident size of the process that held the model, with its runtime.",
    facts([
      ["model files", megabytes(model.bytes)],
      ["plain process", megabytes(peakMemoryBytes.plain)],
      ["sealed process", megabytes(peakMemoryBytes.sealed)],
    ]),
  )
}

function notAppliedSection({ notApplied }: Validation): string {
  if (notApplied.length === 0) return ""
  return section(
    "Not applied",
    "Protections this package does not have.",
    facts(notApplied.map(({ what, why }) => [what, why])),
  )
}

function methodSection(validation: Validation): string {
  const { machine, tool, data, model, package: pkg, conversions } = validation
  return section(
    "What was measured",
    "Enough to repeat it.",
    facts([
      ["package", pkg.digest],
      ["model", `${model.name}, ${model.parameters} parameters, ${megabytes(model.bytes)}`],
      ["data", `${data.name}, ${data.rows} rows, SHA-256 ${data.sha256}`],
      ["changes to the data", conversions.length === 0 ? "none" : conversions.join("; ")],
      [
        "machine",
        `${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${machine.os}`,
      ],
      ["tool", tool],
    ]),
  )
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}

function score({ kind }: { readonly kind: "top-1" | "r2" }, value: number): string {
  return kind === "top-1" ? percent(value) : value.toFixed(4)
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`
}
