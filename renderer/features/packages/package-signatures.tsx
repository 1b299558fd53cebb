import { Text } from "@mantine/core"
import type { PackageSummary } from "../../../main/contract/schema/inspect.ts"
import { Digest } from "../../ui/digest.tsx"

const MAX_SHOWN = 200

/** Who says what about which part. The checks say whether it is true. */
export function PackageSignatures({ summary }: { readonly summary: PackageSummary }) {
  if (summary.signatures.length === 0)
    return (
      <Text size="sm" c="dimmed">
        Nobody signed this package. Ask the sender for a signed one.
      </Text>
    )
  return (
    <ul className="sw-cards">
      {summary.signatures.slice(0, MAX_SHOWN).map(({ subject, predicateType, keyHint, statement }, index) => (
        <li key={`${subject}-${index}`} className="sw-card">
          <Text fw={600} size="sm" className="sw-wrap">
            {predicateType}
          </Text>
          <div className="sw-line">
            about <Digest value={subject} label="digest of the subject" />
          </div>
          <div className="sw-line">
            by key{" "}
            {keyHint === null ? (
              "of a certificate"
            ) : (
              <Digest value={keyHint} label="fingerprint of the key" />
            )}
          </div>
          <details>
            <summary>Statement</summary>
            <pre className="sw-pre" tabIndex={0}>
              {JSON.stringify(statement, null, 2)}
            </pre>
          </details>
        </li>
      ))}
    </ul>
  )
}
