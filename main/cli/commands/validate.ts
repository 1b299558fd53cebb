import path from "node:path"
import type { Validation } from "../../contract/schema/validate.ts"
import { exitCodeFor } from "../../contract/errors.ts"
import type { Register } from "../main.ts"
import { parseBatch, parseNormalise } from "../options.ts"

interface Options {
  readonly device: string
  readonly model: string
  readonly data: string
  readonly labels?: string
  readonly normalise?: string
  readonly batch?: string
  readonly report: string
  readonly trust?: string
  readonly gate?: string
  readonly sign?: string | boolean
  readonly force?: boolean
}

export const registerValidate: Register = (program, run) => {
  program
    .command("validate")
    .argument("<package>", ".seal file")
    .requiredOption("--device <name>", "the device whose key opens it")
    .requiredOption("--model <file>", "the plaintext model to compare with")
    .requiredOption("--data <array>", "inputs, .npy")
    .option("--labels <array>", "right answers, .npy")
    .option("--normalise <mean,std>", "feed (x - mean) / std, with x/255 for bytes")
    .option("--batch <rows>", "rows a call, where the model leaves that open")
    .requiredOption("--report <dir>", "folder for report.html and report.json")
    .option("--gate <file>", "JSON file of limits; the command fails when one is broken (docs/FORMAT.md 14)")
    .option("--sign [key]", "sign the result into the package, with the key named or the only one")
    .option("--trust <path>", "public key (PEM) or folder of them to trust instead of this workspace's keys")
    .option("--force", "replace a report that exists")
    .description("compare plain and sealed on your data: equality, accuracy, latency, load time, memory")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright validate model.seal --device press-07 --model model.onnx --data x.npy --labels y.npy --report out",
    )
    .action(async (file: string, options: Options, command) =>
      run(command, async (context) => {
        const result = await context.job(async (control) =>
          context.engine.validate(
            {
              file: await context.file(file),
              device: options.device,
              trust: await context.optionalFile(options.trust),
              model: await context.file(options.model),
              data: await context.file(options.data),
              labels: await context.optionalFile(options.labels),
              normalise: parseNormalise(options.normalise),
              batch: parseBatch(options.batch),
              gate: await context.optionalFile(options.gate),
              sign:
                options.sign === undefined || options.sign === false
                  ? null
                  : { key: options.sign === true ? null : options.sign },
              report: { file: await context.file(options.report), replace: options.force === true },
            },
            control,
          ),
        )
        context.print(result, () =>
          [
            validationText(result.validation),
            ...(result.signedBy === null ? [] : [`  signed into the package by ${result.signedBy.key}`]),
            `  report: ${path.join(options.report, "report.html")}`,
          ].join("\n"),
        )
        return result.validation.gate.passed ? 0 : exitCodeFor("GATE_FAILED")
      }),
    )
}

export function validationText({
  equality,
  accuracy,
  latencyMs,
  loadMs,
  level,
  batch,
  lanes,
  gate,
}: Validation): string {
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`
  return [
    `${equality.identicalRows} of ${equality.rows} rows identical to the last bit${equality.comparedWith === "marked-copy" ? " to the marked copy in an ordinary process" : ""} (level ${level}, batch ${batch})`,
    ...(accuracy === null
      ? []
      : accuracy.kind === "top-1"
        ? [`  accuracy: ${percent(accuracy.plain)} plain, ${percent(accuracy.sealed)} sealed`]
        : [`  R²: ${accuracy.plain.toFixed(4)} plain, ${accuracy.sealed.toFixed(4)} sealed`]),
    `  latency p50: ${latencyMs.plain.p50.toFixed(2)} ms plain, ${latencyMs.sealed.p50.toFixed(2)} ms sealed, ratio ${latencyMs.overhead.toFixed(3)}`,
    `  latency p99: ${latencyMs.plain.p99.toFixed(2)} ms plain, ${latencyMs.sealed.p99.toFixed(2)} ms sealed`,
    `  load: ${loadMs.plain.toFixed(0)} ms plain, ${loadMs.sealed.toFixed(0)} ms sealed`,
    ...lanes.map(
      ({ name, latencyMs: lane, overhead, loadMs: load }) =>
        `  ${name.padEnd(8)} p50 ${lane.p50.toFixed(2)} ms (${lane.p50Low.toFixed(2)} to ${lane.p50High.toFixed(2)}), ×${overhead.p50.toFixed(2)}; p95 ×${overhead.p95.toFixed(2)}; load ${load.toFixed(0)} ms`,
    ),
    ...gate.lines
      .filter(({ passed }) => !passed)
      .map(({ limit, wanted, measured }) => `  BROKEN ${limit}: ${measured}, wanted ${wanted}`),
  ].join("\n")
}
