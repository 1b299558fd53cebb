/** Who approved, with the keys they did it with, and who still may. */
import { Text } from "@mantine/core"
import { IconUserCheck, IconUserQuestion } from "@tabler/icons-react"
import type { Release } from "../../../main/contract/schema/release.ts"
import type { Trust } from "../../../main/contract/schema/trust.ts"
import { AssuranceBadge } from "../../ui/state.tsx"

const SHOWN = 24

export function Approvals({
  release: { approvals },
  trust,
}: {
  readonly release: Release
  readonly trust: Trust
}) {
  const { by, needed } = approvals
  const keys = trust.roles.find(({ role }) => role === "approver")?.keys ?? []
  const people = keys
    .map(({ keyId, person, assurance }) => ({ keyId, person, assurance, hasApproved: by.includes(person) }))
    .toSorted((a, b) => Number(b.hasApproved) - Number(a.hasApproved))
  if (people.length === 0) return null
  return (
    <div className="sw-people-line">
      <Text size="sm" fw={600} className="sw-numbers">
        {by.length} of {needed}
      </Text>
      <ul className="sw-people" aria-label="Approvals">
        {people.slice(0, SHOWN).map(({ keyId, person, assurance, hasApproved }) => {
          const Icon = hasApproved ? IconUserCheck : IconUserQuestion
          return (
            <li key={keyId} data-approved={hasApproved || undefined}>
              <Icon size={16} aria-hidden className="sw-icon" />
              <span className="sw-ellipsis" title={person}>
                {person}
              </span>
              <Text span size="xs" c="dimmed">
                {hasApproved ? "approved" : "has not"}
              </Text>
              <AssuranceBadge level={assurance} />
            </li>
          )
        })}
      </ul>
      {people.length > SHOWN && (
        <Text size="xs" c="dimmed">
          and {people.length - SHOWN} more
        </Text>
      )}
    </div>
  )
}
