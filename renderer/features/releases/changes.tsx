import { Text } from "@mantine/core"
import type { Release } from "../../../main/contract/schema/release.ts"
import { Digest } from "../../ui/digest.tsx"

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
                <Value text={before} />
              </td>
            )}
            <td>
              <Value text={after} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Value({ text }: { readonly text: string }) {
  if (text === "") return "–"
  if (!text.includes("sha256:")) return <span className="sw-wrap">{text}</span>
  return text.split(", ").map((digest) => <Digest key={digest} value={digest} label="digest" />)
}
