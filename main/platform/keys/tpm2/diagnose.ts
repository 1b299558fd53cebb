import { tpmSupport } from "../../../../native/lib/tpm.ts"
import { toAppError } from "../../../contract/errors.ts"
import type { DoctorCheck } from "../../../contract/schema/doctor.ts"
import { chooseTcti, type TpmConnections } from "./connections.ts"
import { readFacts } from "./facts.ts"

export async function diagnoseTpm(
  connections: TpmConnections,
  named: string | null,
): Promise<readonly DoctorCheck[]> {
  const check = (result: DoctorCheck["result"], detail: string, fix: string): readonly DoctorCheck[] => [
    { id: "keys-tpm2", title: "Keys in a TPM", result, detail, fix },
  ]
  const support = tpmSupport()
  if (!support.works) return check("limited", support.why, support.fix)
  const tcti = chooseTcti(named, null)
  try {
    const facts = await connections.use(tcti, readFacts)
    const tries = `${facts.wrongTries} of ${facts.allowedTries} wrong tries`
    if (facts.isLockedOut)
      return check(
        "limited",
        `${facts.title} (${tcti}) is locked out: ${tries}`,
        `wait ${facts.recoverySeconds} s`,
      )
    return check("ok", `${facts.title} (${tcti}), ${tries}`, "")
  } catch (error) {
    const { message, hint, code } = toAppError(error)
    const isUnasked = code === "TPM_ABSENT" && named === null
    return check("limited", isUnasked ? "no TPM found" : `${tcti}: ${message}`, hint)
  }
}
