/** The evidence of a trace: who stands out, by how much, and why that means something. */
import * as Plot from "@observablehq/plot"
import type { TraceResult } from "../../contract/schema/trace.ts"
import { facts, page, plotFigure, section, type Figure } from "./page.ts"
import { plot } from "./plots.ts"

const ACCUSED = "#c4310f"
const INNOCENT = "#4269d0"

export function tracePage(result: TraceResult, scores: readonly number[]): string {
  const body = [
    scoresSection(result, scores),
    devicesSection(result),
    testSection(result),
    alignmentSection(result),
    evidenceSection(result),
  ]
  const title =
    result.collusion === null ? TITLES[result.decision] : "The suspect was merged from several copies"
  const name = result.evidence.suspect[0]?.name ?? "suspect"
  return page(title, `${name}, ${result.createdAt}`, figures(result), body.join("\n"))
}

const TITLES: Readonly<Record<TraceResult["decision"], string>> = {
  "device-named": "The suspect was traced to a device",
  "owner-proven": "The suspect carries the owner's mark",
  "not-proven": "No mark was found in the suspect",
  "not-derived": "The suspect is not derived from the original",
}

function figures({ decision, owner, devices, alignment, level, compared }: TraceResult): readonly Figure[] {
  const accused = devices.filter((device) => device.accused)
  return [
    {
      label: "Accused",
      value: accused.length > 1 ? `${accused.length} devices` : (accused[0]?.device ?? "nobody"),
      note:
        accused.length > 1
          ? accused
              .map(({ device }) => device)
              .slice(0, 5)
              .join(", ") + (accused.length > 5 ? " …" : "")
          : `of ${compared} devices compared`,
      state: decision === "device-named" ? "attention" : "plain",
    },
    {
      label: "Chance of accusing an innocent",
      value: accused.length === 0 ? "–" : power(Math.max(...accused.map(({ log10p }) => log10p))),
      note: `over all devices; accepted: ${power(Math.log10(level))}`,
      state: "plain",
    },
    {
      label: "Chance that the owner's mark is an accident",
      value: owner.log10p === 0 ? "1" : power(owner.log10p),
      note: `z = ${owner.z.toFixed(1)} over ${owner.carriers.toLocaleString("en")} weights`,
      state: owner.log10p < Math.log10(level) ? "attention" : "plain",
    },
    {
      label: "Likeness to the original",
      value: alignment.cosine.toFixed(4),
      note: "cosine; a stranger has about 0.1 or less",
      state: "plain",
    },
  ]
}

function scoresSection(result: TraceResult, scores: readonly number[]): string {
  if (scores.length === 0) return section("Devices", "No copies of this model were issued to devices.", "")
  const limit = accusationScore(result)
  const accused = result.devices.filter((device) => device.accused)
  const rest = scores.slice(accused.length)
  const [least, most] = [Math.min(-4, ...rest), Math.max(6, limit * 1.1, ...scores)]
  const isWide = most > 40
  const size = scores.length > 300 ? 1.5 : 3
  const points = [
    ...accused.map(({ device, z }) => ({ z, kind: "accused", device, size: 5 })),
    ...rest.map((z) => ({ z, kind: "not accused", device: "", size })),
  ]
  const line = plot({
    height: 150,
    marginLeft: 30,
    color: { domain: ["not accused", "accused"], range: [INNOCENT, ACCUSED], legend: true },
    x: {
      label: "deviations above what chance gives (z)",
      grid: true,
      domain: [least, most],
      ...(isWide ? { type: "symlog" as const, constant: 4 } : {}),
    },
    y: { axis: null },
    r: { type: "identity" },
    marks: [
      Plot.ruleX([limit], { stroke: ACCUSED, strokeDasharray: "4 3" }),
      Plot.text([{ z: limit }], {
        x: "z",
        frameAnchor: "top",
        text: () => "accused beyond this line",
        textAnchor: "start",
        dx: 6,
        fill: ACCUSED,
      }),
      Plot.dot(points, Plot.dodgeY({ x: "z", fill: "kind", r: "size", anchor: "bottom" })),
      Plot.text(
        points.slice(0, 1).filter(({ kind }) => kind === "accused"),
        {
          x: "z",
          text: "device",
          frameAnchor: "middle",
          textAnchor: "end",
          dx: -8,
          fontWeight: "bold",
        },
      ),
    ],
  })
  return section(
    "Scores of all devices",
    "Each dot is a device. An innocent device's score is chance: it follows the curve below, centred at 0. The dashed line is where accusation starts.",
    plotFigure(
      line,
      `Scores of ${scores.length} devices with the line of accusation at ${limit.toFixed(1)}`,
    ) + nullPlot(rest),
  )
}

/** Devices that are not accused against what chance predicts for them. */
function nullPlot(rest: readonly number[]): string {
  if (rest.length < 8) return ""
  const width = 0.25
  const curve = Array.from({ length: 161 }, (_, i) => {
    const z = -4 + i * 0.05
    return { z, expected: (rest.length * width * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI) }
  })
  const drawn = plot({
    height: 180,
    marginLeft: 50,
    x: { label: "z of the devices that are not accused", domain: [-4.5, 4.5], grid: true },
    y: { label: "devices" },
    marks: [
      Plot.rectY(
        rest.map((z) => ({ z: Math.min(4.49, Math.max(-4.49, z)) })),
        Plot.binX<Plot.RectYOptions>(
          { y: "count" },
          { x: { value: "z", interval: width }, fill: INNOCENT, fillOpacity: 0.6 },
        ),
      ),
      Plot.line(curve, { x: "z", y: "expected", stroke: "currentColor", strokeWidth: 1.5 }),
      Plot.ruleY([0]),
    ],
  })
  return plotFigure(drawn, "Scores of devices that are not accused, with the normal curve chance predicts")
}

/** The z a device needs, read off the devices themselves or, without any, off the normal tail: enough for a line in a plot. */
function accusationScore({ level, tests, devices }: TraceResult): number {
  const needed = -Math.log(level / tests)
  const guess = Math.sqrt(2 * needed)
  const innocents = devices.filter(({ accused }) => !accused).map(({ z }) => z)
  const guilty = devices.filter(({ accused }) => accused).map(({ z }) => z)
  const [from, to] = [Math.max(-Infinity, ...innocents), Math.min(Infinity, ...guilty)]
  return Math.min(Math.max(guess, from), to)
}

function devicesSection({ devices, compared, collusion }: TraceResult): string {
  const rows = devices
    .slice(0, 20)
    .map(
      ({ device, log10p, log10pSingle, z, mode, accused }) =>
        [
          device,
          `${accused ? "accused; " : ""}p ${log10p === 0 ? "= 1" : `≤ ${power(log10p)}`} over all devices, ${power(log10pSingle)} alone; z ${z.toFixed(1)}; ${mode} copy`,
        ] as const,
    )
  const sentence =
    collusion === null
      ? `The likeliest of ${compared} devices.`
      : `The likeliest of ${compared} devices. ${collusion.hint}`
  return section("Ranking", sentence, facts(rows))
}

function testSection({ statement, level, tests, compared, owner }: TraceResult): string {
  return section(
    "What was tested",
    statement,
    facts([
      [
        "Hypothesis of chance, owner",
        "Suspect, original and everything compared came about independently of the owner's secret key. Then each secret sign agrees with the suspect's deviation like a fair coin.",
      ],
      [
        "Bound",
        `The sum of signed scores lies z = ${owner.z.toFixed(1)} deviations above 0. For fair coins P ≤ min(exp(-z²/2), 3.179·Q(z)) whatever the weights are (Hoeffding; Bentkus and Dzindzalieta 2015).`,
      ],
      [
        "Hypothesis of chance, device",
        "The device's code word is independent of the suspect: every bit of it is 1 with the probability that was drawn for its position (a Tardos code), and unknown to whoever made the suspect.",
      ],
      [
        "Bound",
        "The score is the sum of weights where the code word is 1. Its chance is bounded by the moment-generating function of exactly this sum (Chernoff). No model of the weights, of noise or of the attack is assumed.",
      ],
      [
        "Correction",
        `All ${compared} code words that were issued count, times the 8 that could have been drawn for each: every p-value is multiplied by ${tests.toLocaleString("en")}.`,
      ],
      [
        "Level",
        `A device is accused when its corrected p-value is below ${power(Math.log10(level))}: the chance that anybody innocent is accused in this comparison.`,
      ],
      [
        "Not covered",
        "A model trained from this one's answers (distillation), trained from scratch, or with replaced layers carries no mark. The code is symmetric: the owner knows all code words, so the comparison shows which copy it was, not who let it go.",
      ],
    ]),
  )
}

function alignmentSection({ alignment }: TraceResult): string {
  const bars = plot({
    height: 40 + 18 * Math.min(alignment.tensors.length, 60),
    marginLeft: 220,
    x: { label: "cosine with the original", domain: [0, 1], grid: true },
    y: { label: null },
    marks: [
      Plot.barX(
        alignment.tensors.slice(0, 60).map(({ name, cosine }) => ({ name: name.slice(-34), cosine })),
        {
          x: (d: { readonly cosine: number }) => Math.max(0, d.cosine),
          y: "name",
          fill: INNOCENT,
          sort: { y: null },
        },
      ),
      Plot.ruleX([0]),
    ],
  })
  return section(
    "Alignment",
    "The suspect's layers and channels were matched to the original's by their content, without any key.",
    plotFigure(bars, "Cosine of every marked tensor with its counterpart") +
      facts([
        [
          "weights compared",
          `${alignment.compared.toLocaleString("en")} of ${alignment.weights.toLocaleString("en")}`,
        ],
        ["undone", alignment.done.length === 0 ? "nothing had to be" : alignment.done.join("; ")],
        ["without counterpart", alignment.unmatched.length === 0 ? "none" : alignment.unmatched.join(", ")],
      ]),
  )
}

function evidenceSection({ evidence, tool, level, seconds }: TraceResult): string {
  const files = (list: TraceResult["evidence"]["suspect"], what: string) =>
    list.map(
      ({ name, bytes, sha256 }, index) =>
        [
          index === 0 ? what : `${what}, external data`,
          `${name}, ${bytes.toLocaleString("en")} bytes, SHA-256 ${sha256}`,
        ] as const,
    )
  return section(
    "Inputs",
    "With these and the ledger anybody who is shown the keys can repeat the comparison.",
    facts([
      ...files(evidence.suspect, "suspect"),
      ...files(evidence.original, "original"),
      ["digest of the marked weights", evidence.modelHash],
      ["commitment to the keys", evidence.commitment],
      ["ledger", evidence.ledger],
      ["level", String(level)],
      ["tool", `${tool}, ${seconds.toFixed(1)} s`],
    ]),
  )
}

/** A probability by its logarithm: 10⁻⁷²², and in decimals what is not small. */
function power(log10p: number): string {
  if (log10p > -3) return (10 ** log10p).toPrecision(2)
  const digits = String(Math.ceil(-log10p - 1e-9) === 0 ? 0 : Math.floor(-log10p + 1e-9))
  return `10⁻${Array.from(digits, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)] ?? "").join("")}`
}
