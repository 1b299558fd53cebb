import { AppError } from "../../contract/errors.ts"
import type { Mode } from "../../contract/schema/base.ts"
import type { Mark, MarkRequest } from "../../contract/schema/mark.ts"
import type { ProtectRequest } from "../../contract/schema/protect.ts"
import type { Context } from "../context.ts"
import type { Register } from "../main.ts"
import { parseNormalise } from "../options.ts"
import { bytesText, durationText, notAppliedText, shortDigest } from "../text.ts"

interface Options {
  readonly device: readonly string[]
  readonly sign?: string
  readonly escrow?: readonly string[]
  readonly mode: string
  readonly mark: boolean
  readonly calibration?: string
  readonly labels?: string
  readonly normalise?: string
  readonly markBudget?: string
  readonly policy?: string
  readonly goldenInput?: string
  readonly goldenOutput?: string
  readonly goldenTolerance: string
  readonly output: string
  readonly force?: boolean
}

export const registerProtect: Register = (program, run) => {
  program
    .command("protect")
    .argument("<model>", "ONNX model; external data is found beside it")
    .requiredOption("--device <name...>", "devices that may open it")
    .option("--sign <key>", "signing key (default: the only one, or a new one)")
    .option("--escrow <recipient...>", "age recipients that can also open the payload")
    .option(
      "--mode <mode>",
      "individual: a payload for each device; fleet: one payload, small grants",
      "individual",
    )
    .option("--no-mark", "leave out the mark that names the device a copy was made for")
    .option("--calibration <array>", "inputs to measure the mark's cost on, .npy")
    .option("--labels <array>", "right answers for them, .npy")
    .option("--normalise <mean,std>", "feed (x - mean) / std, with x/255 for bytes")
    .option("--mark-budget <percent>", "largest change of the outputs, in percent of their spread")
    .option(
      "--policy <file>",
      "JSON file: validity window, runtime level, firewall rules (docs/FORMAT.md 5.2)",
    )
    .option("--golden-input <array>", "rows (.npy) every device tries a new package on")
    .option("--golden-output <array>", "what the model must answer to them (.npy)")
    .option("--golden-tolerance <difference>", "largest difference of an output", "1e-3")
    .requiredOption("-o, --output <file>", "the .seal file to write")
    .option("--force", "replace the output if it exists")
    .description("sign, encrypt and package a model for devices")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright protect model.onnx --device press-07 --sign release-1 -o model.seal",
    )
    .action(async (model: string, options: Options, command) =>
      run(command, async (context) => {
        const result = await context.job(async (control) =>
          context.engine.protect(
            {
              model: await context.file(model),
              devices: [...options.device],
              signingKey: options.sign ?? null,
              escrow: [...(options.escrow ?? [])],
              mode: parseMode(options.mode),
              mark: options.mark ? await markOf(context, options) : null,
              policy: await context.optionalFile(options.policy),
              golden: await goldenOf(context, options),
              output: { file: await context.file(options.output), replace: options.force === true },
            },
            control,
          ),
        )
        context.print(result, () =>
          [
            `sealed ${result.name}: ${bytesText(result.bytes)} for ${result.devices.join(", ")} in ${durationText(result.seconds)}`,
            `  signed by ${result.signedBy.key} (${result.signedBy.assurance}${result.signedBy.created ? ", made just now" : ""})`,
            `  package ${result.packages.map(({ digest }) => shortDigest(digest)).join(", ")}, ${result.mode} mode`,
            ...(result.mark === null ? [] : [markText(result.mark)]),
            notAppliedText(result.notApplied),
          ].join("\n"),
        )
      }),
    )
}

async function markOf(context: Context, options: Options): Promise<MarkRequest> {
  if (options.labels !== undefined && options.calibration === undefined)
    throw new AppError("USAGE", "--labels are for calibration data: give --calibration too")
  return {
    calibration: await context.optionalFile(options.calibration),
    labels: await context.optionalFile(options.labels),
    normalise: parseNormalise(options.normalise),
    budget: parseBudget(options.markBudget),
  }
}

async function goldenOf(context: Context, options: Options): Promise<ProtectRequest["golden"]> {
  const { goldenInput: input, goldenOutput: output } = options
  const tolerance = Number(options.goldenTolerance)
  if ((input === undefined) !== (output === undefined) || !(tolerance >= 0))
    throw new AppError(
      "USAGE",
      "give --golden-input and --golden-output together, and a --golden-tolerance from 0",
    )
  if (input === undefined || output === undefined) return null
  return { input: await context.file(input), output: await context.file(output), tolerance }
}

function parseBudget(text: string | undefined): number | null {
  if (text === undefined) return null
  const percent = Number(text)
  if (!(percent > 0 && percent <= 20))
    throw new AppError("USAGE", "--mark-budget takes a percentage above 0 and up to 20")
  return percent
}

function markText(mark: Mark): string {
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`
  const { measured } = mark
  const lines = [
    `  marked: ${mark.carriers} of ${mark.parameters} weights, expected score ${mark.deviceScore.toFixed(0)} after noise of 0.1 σ`,
  ]
  if (mark.overlayBytes !== null)
    lines.push(
      `  overlay: ${bytesText(mark.overlayBytes)} a device, ${mark.deviceCarriers} weights; score times ${mark.knownSubsetFactor.toFixed(2)} against whoever knows which`,
    )
  if (measured !== null) {
    const accuracy =
      measured.accuracyBefore === null || measured.accuracyAfter === null
        ? ""
        : `, accuracy ${percent(measured.accuracyBefore)} before and ${percent(measured.accuracyAfter)} after`
    const agreement = measured.agreement === null ? "" : `, same answer for ${percent(measured.agreement)}`
    const kind = measured.on === "calibration" ? "held-out" : "made-up"
    lines.push(
      `  measured on ${measured.rows} ${kind} rows: outputs change by ${percent(measured.outputChange)}${agreement}${accuracy}`,
    )
  }
  if (mark.notMeasured !== null) lines.push(`  not measured: ${mark.notMeasured}`)
  lines.push(`  commitment ${mark.commitment}`)
  return lines.join("\n")
}

function parseMode(text: string): Mode {
  if (text === "individual" || text === "fleet") return text
  throw new AppError("USAGE", `the mode is individual or fleet, not ${text.slice(0, 40)}`)
}
