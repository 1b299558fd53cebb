import { Text } from "@mantine/core"
import type { Pending } from "../../../main/contract/schema/trust.ts"
import { Digest } from "../../ui/digest.tsx"

/** What documents that wait for signatures say, so that nobody signs a fingerprint. */
export function DocumentWords({ documents }: Pick<Pending, "documents">) {
  return documents.map(({ what, fingerprint, says, needs }) => (
    <div key={`${what}-${fingerprint}`} className="sw-card">
      <div className="sw-line">
        <Text span size="sm" fw={600}>
          {what}
        </Text>
        <Digest value={fingerprint} label={`fingerprint of ${what}`} />
      </div>
      <ul className="sw-plain-list">
        {says.map((line) => (
          <li key={line} className="sw-wrap">
            {line}
          </li>
        ))}
      </ul>
      <Text size="xs" c="dimmed" className="sw-wrap">
        {needs
          .map(
            ({ why, signedBy, threshold, missing }) =>
              `${why}: ${signedBy.length} of ${threshold} signed${missing.length > 0 ? `, still ${missing.join(", ")}` : ""}`,
          )
          .join("; ")}
      </Text>
    </div>
  ))
}
