import { existsSync } from "node:fs"
import { toAppError } from "../../../contract/errors.ts"
import type { DoctorCheck } from "../../../contract/schema/doctor.ts"
import type { ModuleProcess } from "./module-process.ts"

/** Modules that are looked at unasked; any other is used by naming it in a URI. */
const WELL_KNOWN = [
  "/usr/lib/softhsm/libsofthsm2.so",
  "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
  "/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
  "/usr/lib/x86_64-linux-gnu/libykcs11.so.2",
  "/usr/lib/aarch64-linux-gnu/libykcs11.so.2",
]

export async function diagnoseTokens(modules: ModuleProcess): Promise<readonly DoctorCheck[]> {
  const title = "Keys in PKCS#11 tokens"
  const installed = WELL_KNOWN.filter((file) => existsSync(file))
  if (installed.length === 0) {
    const detail = "none of the well-known modules is installed; others are used by their path"
    return [{ id: "keys-pkcs11", title, result: "limited", detail, fix: "apt install opensc-pkcs11" }]
  }
  return Promise.all(
    installed.map(async (module): Promise<DoctorCheck> => {
      const id = `keys-pkcs11-${module.replace(/^.*\/(?:lib)?/, "").replace(/\.so.*$/, "")}`
      try {
        const tokens = await modules.ask("tokens", { module })
        if (tokens.length === 0)
          return {
            id,
            title,
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
          id,
          title,
          result: isLocked ? "limited" : "ok",
          detail: `${module}: ${named.join(", ")}`,
          fix: "",
        }
      } catch (error) {
        const { message, hint } = toAppError(error)
        return { id, title, result: "limited", detail: `${module}: ${message}`, fix: hint }
      }
    }),
  )
}
