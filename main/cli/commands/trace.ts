import path from "node:path"
import { AppError } from "../../contract/errors.ts"
import type { TraceResult } from "../../contract/schema/trace.ts"
import type { Register } from "../main.ts"
import { safeText, table } from "../text.ts"

const DEFAULT_LEVEL = "1e-6"
const DEFAULT_TOP = "10"

interface Options {
  readonly original?: string
  readonly top: string
  readonly level: string
  readonly report?: string
  readonly force?: boolean
}

export const registerTrace: Register = (program, run) => {
  program
    .command("trace")
    .argument("<suspect>", "ONNX model that may have been made from a device's copy")
    .option(
      "--original <file>",
      "the model as it was before it was protected (default: looked for beside the suspect)",
    )
    .option("--top <count>", "devices to list", DEFAULT_TOP)
    .option("--level <chance>", "accepted chance of accusing anybody innocent", DEFAULT_LEVEL)
    .option("--report <dir>", "folder for report.html and report.json, the evidence")
    .option("--force", "replace a report that exists")
    .description("whose copy is this? compare a suspect with the original under this workspace's ledger")
    .addHelpText(
      "after",
      "\nA verdict is not a failure: the exit status is 0 whatever is found.\n\nExample:\n  sealwright trace leaked.onnx --original model.onnx --report evidence",
    )
    .action(async (suspect: string, options: Options, command) =>
      run(command, async (context) => {
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

function parseTop(text: string): number {
  const top = Number(text)
  if (!Number.isInteger(top) || top < 1 || top > 100_000)
    throw new AppError("USAGE", "--top takes a whole number from 1 to 100000")
  return top
}
