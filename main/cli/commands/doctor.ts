import type { DoctorCheck } from "../../contract/schema/doctor.ts"
import type { Register } from "../main.ts"
import { safeText, table } from "../text.ts"

export const registerDoctor: Register = (program, run) => {
  program
    .command("doctor")
    .description("what this computer can do, and what would change it")
    .addHelpText("after", "\nExample:\n  sealwright doctor")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const report = await context.engine.doctor()
        context.print(report, () =>
          [
            `sealwright ${report.version}, Node ${report.node}, ${report.platform}`,
            table(checkRows(report.checks)),
          ].join("\n"),
        )
        return report.checks.some(({ result }) => result === "missing") ? 9 : 0
      }),
    )
}

export function checkRows(checks: readonly DoctorCheck[]): readonly (readonly string[])[] {
  return checks.map(({ result, title, detail, fix }) => [
    result,
    title,
    safeText(fix === "" ? detail : `${detail} (fix: ${fix})`),
  ])
}
