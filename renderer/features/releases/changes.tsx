import { Text } from "@mantine/core"
import type { Release } from "../../../main/contract/schema/release.ts"
import { Digest } from "../../ui/digest.tsx"
import { policyText } from "../../ui/policy.ts"
import { bytesText } from "../../ui/units.ts"

/** The diff is the first thing an approver reads: what was, and what will be. */
export function Changes({ release: { changes, previous } }: { readonly release: Release }) {
  if (changes.length === 0)
    return (
      <Text size="sm" c="dimmed">
        Nothing that is measured differs from {previous ?? "before"}.
      </Text>
    )
  return (
    <table className="sw-values sw-changes">
      <thead>
        <tr>
          <th scope="col">What</th>
          {previous !== null && <th scope="col">{previous}</th>}
          <th scope="col">This release</th>
        </tr>
      </thead>
      <tbody>
        {changes.map(({ what, before, after }) => (
          <tr key={what} data-change={what}>
            <th scope="row">{what}</th>
            {previous !== null && (
              <td>
                <Value what={what} text={before} />
              </td>
            )}
            <td>
              <Value what={what} text={after} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Value({ what, text }: { readonly what: string; readonly text: string }) {
  if (text === "") return "–"
  if (what === "policy") return <span className="sw-wrap">{policyText(text)}</span>
  const bytes = /^(\d+) bytes$/.exec(text)?.[1]
  if (bytes !== undefined) return bytesText(Number(bytes))
  if (!text.includes("sha256:")) return <span className="sw-wrap">{text}</span>
  return text.split(", ").map((digest) => <Digest key={digest} value={digest} label="digest" />)
}
