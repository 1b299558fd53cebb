/** What the sealed runtime reaches on this computer, and what would change it. */
import { toAppError } from "../../contract/errors.ts"
import type { DoctorCheck } from "../../contract/schema/doctor.ts"
import { runtimeLauncher } from "./launcher.ts"

export async function checkRuntime(): Promise<DoctorCheck> {
  const check = { id: "runtime", title: "Sealed runtime" }
  try {
    const { reached, reason } = await runtimeLauncher.probe(AbortSignal.timeout(PROBE_TIMEOUT_MS))
    if (reason === "") return { ...check, result: "ok", detail: `level ${reached}`, fix: "" }
    return {
      ...check,
      result: "limited",
      detail: `level ${reached}; not higher because ${reason}`,
      fix: fixFor(reason),
    }
  } catch (error) {
    return {
      ...check,
      result: "missing",
      detail: `it does not start (${toAppError(error).code})`,
      fix: "npm ci",
    }
  }
}

const PROBE_TIMEOUT_MS = 15_000

function fixFor(reason: string): string {
  return reason.includes("not built") ? "npm run build:native" : ""
}
