import path from "node:path"
import { AppError } from "../../contract/errors.ts"
import type { TraceResult } from "../../contract/schema/trace.ts"
import type { TracedBlackbox } from "../../contract/schema/trace-blackbox.ts"
import type { Context } from "../context.ts"
import type { Register } from "../main.ts"
import { parseNormalise } from "../options.ts"
import { safeText, table } from "../text.ts"

const DEFAULT_LEVEL = "1e-6"
const DEFAULT_TOP = "10"

interface Options {
  readonly original?: string
  readonly top: string
  readonly level: string
  readonly report?: string
  readonly force?: boolean
  readonly blackbox?: boolean
  readonly command?: string
  readonly data?: string
  readonly normalise?: string
  readonly probes: string
  readonly fakes: string
}

export const registerTrace: Register = (program, run) => {
  program
    .command("trace")
    .argument("[suspect]", "ONNX model that may have been made from a device's copy")
    .option(
      "--original <file>",
      "the model as it was before it was protected (default: looked for beside the suspect)",
    )
    .option("--top <count>", "devices to list", DEFAULT_TOP)
    .option("--level <chance>", "accepted chance of accusing anybody innocent", DEFAULT_LEVEL)
    .option("--report <dir>", "folder for report.html and report.json, the evidence")
    .option("--force", "replace a report that exists")
    .option("--blackbox", "use the suspect's labels only, not its weights")
    .option("--command <line>", "with --blackbox: a command that answers batches instead of a model file")
    .option("--data <array>", "with --blackbox: inputs like those in use, .npy")
    .option("--normalise <mean,std>", "with --blackbox: feed (x - mean) / std, with x/255 for bytes")
    .option("--probes <count>", "with --blackbox: inputs on the decision boundary to ask about", "400")
    .option("--fakes <count>", "with --blackbox: copies of devices that do not exist to rank among", "200")
    .description("whose copy is this? compare a suspect with the original under this workspace's ledger")
    .addHelpText(
      "after",
      "\nA verdict is not a failure: the exit status is 0 whatever is found.\n\nExamples:\n  sealwright trace leaked.onnx --original model.onnx --report evidence\n  sealwright trace suspect.onnx --blackbox --original model.onnx --data x.npy",
    )
    .action(async (suspect: string | undefined, options: Options, command) =>
      run(command, async (context) => {
        if (options.blackbox === true) return traceByAnswers(context, suspect, options)
        if (suspect === undefined) throw new AppError("USAGE", "the suspect is missing")
        const result = await context.job(async (control) =>
          context.engine.trace(
            {
              suspect: await context.file(suspect),
              original: await context.optionalFile(options.original),
              level: parseLevel(options.level),
              top: parseTop(options.top),
              report:
                options.report === undefined
                  ? null
                  : { file: await context.file(options.report), replace: options.force === true },
            },
            control,
          ),
        )
        context.print(result, () =>
          [
            traceText(result),
            ...(options.report === undefined
              ? []
              : [`  report: ${path.join(options.report, "report.html")}`]),
          ].join("\n"),
        )
      }),
    )
}

async function traceByAnswers(context: Context, file: string | undefined, options: Options): Promise<void> {
  const { original, data, command } = options
  if (original === undefined || data === undefined)
    throw new AppError("USAGE", "--blackbox needs --original and --data")
  if ((file === undefined) === (command === undefined))
    throw new AppError("USAGE", "--blackbox takes either a model file or --command")
  const result = await context.job(async (control) =>
    context.engine.traceBlackbox(
      {
        suspect:
          file === undefined
            ? { kind: "command", command: command ?? "" }
            : { kind: "model", file: await context.file(file) },
        original: await context.file(original),
        data: await context.file(data),
        normalise: parseNormalise(options.normalise),
        level: parseLevel(options.level),
        probes: parseCount("--probes", options.probes, 10_000),
        fakes: parseCount("--fakes", options.fakes, 1_000_000),
      },
      control,
    ),
  )
  const top = parseTop(options.top)
  context.print(result, () => blackboxText(result, top))
}

function blackboxText(
  { statement, devices, probes, onBoundary, limits }: TracedBlackbox,
  top: number,
): string {
  const rows = devices
    .slice(0, top)
    .map(({ device, p, statistic, accused }) => [
      `  ${safeText(device)}`,
      p.toPrecision(2),
      statistic.toFixed(1),
      accused ? "ACCUSED" : "",
    ])
  return [
    safeText(statement),
    `  ${probes} probes, ${(100 * onBoundary).toFixed(0)} % answered with one of the two classes of the boundary`,
    "",
    table([["  DEVICE", "RANK P", "STATISTIC", ""], ...rows]),
    "",
    ...limits.map((limit) => `  ${limit}`),
  ].join("\n")
}

function traceText({ statement, owner, devices, compared, alignment, collusion }: TraceResult): string {
  const rows = devices.map(({ device, log10p, z, mode, accused }) => [
    `  ${safeText(device)}`,
    log10p.toFixed(1),
    z.toFixed(1),
    mode,
    accused ? "ACCUSED" : "",
  ])
  return [
    safeText(statement),
    ...(collusion === null ? [] : [`  ${collusion.hint}`]),
    `  owner: lg p ${owner.log10p.toFixed(1)}, z ${owner.z.toFixed(1)} over ${owner.carriers.toLocaleString("en")} weights`,
    `  alignment: cosine ${alignment.cosine.toFixed(4)}, ${alignment.compared.toLocaleString("en")} of ${alignment.weights.toLocaleString("en")} weights compared${alignment.done.length === 0 ? "" : `; ${alignment.done.join("; ")}`}`,
    ...(alignment.unmatched.length === 0
      ? []
      : [`  without counterpart: ${alignment.unmatched.map(safeText).join(", ")}`]),
    ...(rows.length === 0
      ? ["  no copy of this model was issued"]
      : ["", table([["  DEVICE", "LG P", "Z", "COPY", ""], ...rows])]),
    ...(rows.length < compared ? [`  … of ${compared} compared (--top lists more)`] : []),
  ].join("\n")
}

function parseLevel(text: string): number {
  const level = Number(text)
  if (!(level > 0 && level < 0.1))
    throw new AppError("USAGE", "--level takes a chance above 0 and below 0.1, such as 1e-6")
  return level
}

function parseCount(option: string, text: string, most: number): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 20 || count > most)
    throw new AppError("USAGE", `${option} takes a whole number from 20 to ${most}`)
  return count
}

function parseTop(text: string): number {
  const top = Number(text)
  if (!Number.isInteger(top) || top < 1 || top > 100_000)
    throw new AppError("USAGE", "--top takes a whole number from 1 to 100000")
  return top
}
