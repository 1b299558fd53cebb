import { Text } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useMemo } from "react"
import type { Assurance } from "../../../main/contract/schema/base.ts"
import type { PackageSummary } from "../../../main/contract/schema/inspect.ts"
import { queries } from "../../api/queries.ts"
import { Digest } from "../../ui/digest.tsx"
import { AssuranceBadge } from "../../ui/state.tsx"
import { agoText, dateText, plural } from "../../ui/units.ts"

const MAX_SHOWN = 200

/** What kinds of statement say, by the name in their type. */
const MEANINGS: Readonly<Record<string, string>> = {
  copy: "Made this package",
  grant: "Issued this grant",
  validation: "Measured this package",
  approval: "Approved this release",
  receipt: "Installed this package",
  "mark-commitment": "Committed to the mark before it was issued",
}

/** Who says what about which part. The checks say whether it is true. */
export function PackageSignatures({ summary }: { readonly summary: PackageSummary }) {
  const signers = useSigners()
  const parts = useMemo(() => partsOf(summary), [summary])
  if (summary.signatures.length === 0)
    return (
      <Text size="sm" c="dimmed">
        Nobody signed this package. Ask the sender for a signed one.
      </Text>
    )
  return (
    <>
      <Text size="sm" c="dimmed" mb="xs">
        {plural(summary.signatures.length, "signature")}, as they stand in the file. Whether they hold is
        under Checks.
      </Text>
      <ul className="sw-cards">
        {summary.signatures
          .slice(0, MAX_SHOWN)
          .map(({ subject, predicateType, keyHint, statement }, index) => (
            <li key={`${subject}-${index}`} className="sw-card">
              <Text fw={600} size="sm" className="sw-wrap" title={predicateType}>
                {MEANINGS[kindOf(predicateType)] ?? predicateType}
              </Text>
              <Signer
                hint={keyHint}
                signer={keyHint === null ? undefined : signers.get(keyHint)}
                at={timeIn(statement)}
              />
              <div className="sw-line">
                about {parts.get(subject) ?? "something else"}{" "}
                <Digest value={subject} label="digest of the subject" />
              </div>
              <details>
                <summary>Statement</summary>
                <pre className="sw-pre" tabIndex={0}>
                  {JSON.stringify({ predicateType, predicate: statement }, null, 2)}
                </pre>
              </details>
            </li>
          ))}
      </ul>
    </>
  )
}

interface KnownSigner {
  readonly name: string
  readonly assurance: Assurance
}

interface SignerProps {
  readonly hint: string | null
  readonly signer: KnownSigner | undefined
  readonly at: string | null
}

function Signer({ hint, signer, at }: SignerProps) {
  return (
    <div className="sw-line">
      {signer === undefined ? "by a key not of this workspace" : `by ${signer.name}`}
      {hint === null ? " of a certificate" : <Digest value={hint} label="fingerprint of the key" />}
      {signer !== undefined && <AssuranceBadge level={signer.assurance} />}
      {at !== null && (
        <Text span size="xs" c="dimmed" title={dateText(at)}>
          {agoText(at)}
        </Text>
      )}
    </div>
  )
}

/** Keys of this workspace by the fingerprint in a signature. */
function useSigners(): ReadonlyMap<string, KnownSigner> {
  const { data } = useQuery(queries.keys)
  return useMemo(() => new Map((data ?? []).map((key) => [key.fingerprint, key])), [data])
}

function partsOf({ packages, grants }: PackageSummary): ReadonlyMap<string, string> {
  const parts = new Map(grants.map(({ digest }) => [digest, "the grant"]))
  for (const { digest } of packages) parts.set(digest, "the package")
  return parts
}

/** `copy` of `urn:sealwright:attestation:copy:v1`; the whole type of any other. */
function kindOf(predicateType: string): string {
  return /^urn:sealwright:attestation:([a-z-]+):v\d+$/.exec(predicateType)?.[1] ?? predicateType
}

/** Statements are anybody's words: what is not a time is none. */
function timeIn(statement: unknown): string | null {
  const { createdAt, time } = fieldsOf(statement)
  const found = createdAt ?? time
  return typeof found === "string" && !Number.isNaN(Date.parse(found)) ? found : null
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {}
}
