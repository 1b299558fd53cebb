import { Text, Title } from "@mantine/core"
import type { PackageSummary } from "../../../main/contract/schema/inspect.ts"
import { Digest } from "../../ui/digest.tsx"
import { bytesText, plural } from "../../ui/units.ts"

/** Long lists are cut here; the command line prints all of them. */
const MAX_SHOWN = 200

/** What anybody can see of a package. Nothing of it is verified by being shown. */
export function PackageContents({ summary }: { readonly summary: PackageSummary }) {
  const { packages, grants } = summary
  const rows = [
    ...packages.map(({ digest, payloadBytes, recipients }) => ({
      kind: "payload",
      digest,
      bytes: payloadBytes,
      recipients,
    })),
    ...grants.map(({ digest, bytes, recipients }) => ({ kind: "grant", digest, bytes, recipients })),
  ]
  return (
    <>
      <Text size="sm" c="dimmed" mb="xs">
        {plural(packages.length, "payload")} and {plural(grants.length, "grant")}, as anybody sees them.
      </Text>
      <Title order={2} size="h5">
        Parts
      </Title>
      <table className="sw-values">
        <thead>
          <tr>
            <th scope="col">Part</th>
            <th scope="col">Digest</th>
            <th scope="col">Size</th>
            <th scope="col">Encrypted to</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, MAX_SHOWN).map(({ kind, digest, bytes, recipients }) => (
            <tr key={digest}>
              <td>{kind}</td>
              <td>
                <Digest value={digest} label={`digest of the ${kind}`} />
              </td>
              <td className="sw-numbers">{bytesText(bytes)}</td>
              <td>{recipients.join(", ")}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > MAX_SHOWN && (
        <Text size="sm" c="dimmed">
          and {rows.length - MAX_SHOWN} more
        </Text>
      )}
    </>
  )
}
