import { Text, Title } from "@mantine/core"
import type { ReactNode } from "react"

/** Nothing here yet: what would be here, and the next step. */
export function Empty({
  icon,
  title,
  children,
  action,
}: {
  readonly icon: ReactNode
  readonly title: string
  readonly children: ReactNode
  readonly action?: ReactNode
}) {
  return (
    <div className="sw-empty">
      <div className="sw-empty-icon">{icon}</div>
      <Title order={2} size="h4">
        {title}
      </Title>
      <Text size="sm" c="dimmed" maw={440}>
        {children}
      </Text>
      {action !== undefined && <div className="sw-empty-action">{action}</div>}
    </div>
  )
}
