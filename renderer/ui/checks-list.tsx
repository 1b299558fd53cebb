/** Checks as GitHub shows them: a name, a result, a reason; more on expanding. */
import { Text, UnstyledButton } from "@mantine/core"
import { IconChevronRight } from "@tabler/icons-react"
import { useEffect, useRef, useState, type ReactNode } from "react"
import { StateIcon, type State } from "./state.tsx"

export interface CheckLine {
  readonly id: string
  readonly title: string
  readonly state: State
  /** The state in a word, for those who do not see the icon. */
  readonly word: string
  readonly reason: string
  readonly evidence?: ReactNode
}

export function ChecksList({
  label,
  checks,
  pointedAt = null,
}: {
  readonly label: string
  readonly checks: readonly CheckLine[]
  /** The id of a line that is brought into sight, opened and marked. */
  readonly pointedAt?: string | null
}) {
  return (
    <ul className="sw-checks" aria-label={label}>
      {checks.map((check) => (
        <CheckItem key={check.id} check={check} isPointedAt={check.id === pointedAt} />
      ))}
    </ul>
  )
}

function CheckItem({ check, isPointedAt }: { readonly check: CheckLine; readonly isPointedAt: boolean }) {
  const [isOpen, setOpen] = useState(isPointedAt)
  const item = useRef<HTMLLIElement>(null)
  useEffect(() => {
    if (isPointedAt) item.current?.scrollIntoView({ block: "center" })
  }, [isPointedAt])
  const line = (
    <>
      <StateIcon state={check.state} />
      <span className="sw-check-title">{check.title}</span>
      <span className="sw-check-word" data-state={check.state}>
        {check.word}
      </span>
      <Text span size="sm" c="dimmed" className="sw-check-reason sw-wrap">
        {check.reason}
      </Text>
    </>
  )
  return (
    <li ref={item} data-check={check.id} data-state={check.state} data-pointed={isPointedAt || undefined}>
      {check.evidence === undefined ? (
        <div className="sw-check">
          <span className="sw-check-chevron" />
          {line}
        </div>
      ) : (
        <>
          <UnstyledButton className="sw-check" onClick={() => setOpen(!isOpen)} aria-expanded={isOpen}>
            <IconChevronRight
              size={14}
              aria-hidden
              className="sw-check-chevron"
              data-open={isOpen || undefined}
            />
            {line}
          </UnstyledButton>
          {isOpen && <div className="sw-check-evidence">{check.evidence}</div>}
        </>
      )}
    </li>
  )
}
