/** What the engine checked, as a list: each with its reason, and a failed one with what to do. */
import { Text } from "@mantine/core"
import type { Check } from "../../main/contract/schema/verify.ts"
import { failureOf } from "../api/failure.ts"
import { ChecksList, type CheckLine } from "./checks-list.tsx"

export function JudgedChecks({ checks }: { readonly checks: readonly Check[] }) {
  return <ChecksList label="Checks" checks={checks.map(toLine)} />
}

function toLine({ id, title, result, reason, code }: Check): CheckLine {
  const line: CheckLine = {
    id,
    title,
    state: result === "passed" ? "verified" : result === "failed" ? "refused" : "neutral",
    word: result,
    reason,
  }
  if (code === null) return line
  return {
    ...line,
    evidence: (
      <Text size="sm">
        {failureOf(code, reason).hint} <code className="sw-code">{code}</code>
      </Text>
    ),
  }
}
