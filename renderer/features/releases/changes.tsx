import { Text } from "@mantine/core"
import type { Release } from "../../../main/contract/schema/release.ts"
import { Digest } from "../../ui/digest.tsx"
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

/** What a policy says, without what it leaves open. Anything that is no policy is shown as it is. */
function policyText(text: string): string {
  try {
    const said = settings("", JSON.parse(text)).filter((line) => !line.startsWith("version "))
    return said.length === 0 ? "everything is allowed" : said.join(", ")
  } catch {
    return text
  }
}

function settings(path: string, value: unknown): readonly string[] {
  if (value === null || value === false) return []
  if (typeof value === "object")
    return Object.entries(value).flatMap(([key, inner]) => settings(`${path}${words(key)} `, inner))
  return [`${path}${value === true ? "yes" : JSON.stringify(value).replaceAll('"', "")}`]
}

/** `minimumRuntime` as people write it. */
function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}
