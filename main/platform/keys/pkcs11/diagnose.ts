import { existsSync } from "node:fs"
import { toAppError } from "../../../contract/errors.ts"
import type { DoctorCheck } from "../../../contract/schema/doctor.ts"
import { ModuleProcess } from "./module-process.ts"

/** Modules that are looked at unasked; any other is used by naming it in a URI. */
const WELL_KNOWN = [
  "/usr/lib/softhsm/libsofthsm2.so",
  "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
  "/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
  "/usr/lib/x86_64-linux-gnu/libykcs11.so.2",
  "/usr/lib/aarch64-linux-gnu/libykcs11.so.2",
]

/** Time one module has to list its tokens: nobody waits for a doctor. */
const TIMEOUT_MS = 8_000

const TITLE = "Keys in PKCS#11 tokens"

/** Each module in a process of its own that is ended afterwards: one that hangs or crashes says nothing about the others. */
export async function diagnoseTokens(
  candidates: readonly string[] = WELL_KNOWN,
  timeoutMs = TIMEOUT_MS,
): Promise<readonly DoctorCheck[]> {
  const installed = candidates.filter((file) => existsSync(file))
  if (installed.length === 0) {
    const detail = "none of the well-known modules is installed; others are used by their path"
    return [{ id: "keys-pkcs11", title: TITLE, result: "limited", detail, fix: "apt install opensc-pkcs11" }]
  }
  return Promise.all(installed.map(async (module) => diagnoseModule(module, timeoutMs)))
}

async function diagnoseModule(module: string, timeoutMs: number): Promise<DoctorCheck> {
  const check = {
    id: `keys-pkcs11-${module.replace(/^.*\/(?:lib)?/, "").replace(/\.so.*$/, "")}`,
    title: TITLE,
  }
  const process = new ModuleProcess(timeoutMs)
  try {
    const tokens = await process.ask("tokens", { module })
    if (tokens.length === 0)
      return {
        ...check,
        result: "limited",
        detail: `${module}: no token`,
        fix: "insert or initialise a token",
      }
    const named = tokens.map((token) => {
      const kind = token.isHardware ? "hardware" : "software"
      const pin = token.pin === "fresh" ? "" : `, PIN ${token.pin}`
      return `${token.label} (${token.model}, serial ${token.serial}, ${kind}${pin})`
    })
    const isLocked = tokens.every(({ pin }) => pin === "locked")
    return {
      ...check,
      result: isLocked ? "limited" : "ok",
      detail: `${module}: ${named.join(", ")}`,
      fix: "",
    }
  } catch (error) {
    const { message, hint } = toAppError(error)
    return { ...check, result: "limited", detail: `${module}: ${message}`, fix: hint }
  } finally {
    await process.close()
  }
}
