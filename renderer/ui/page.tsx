import { Group, Text, Title } from "@mantine/core"
import type { ReactNode } from "react"

/** The frame of a screen: a title with what can be done with it, and content that scrolls. */
export function Page({
  title,
  subtitle,
  actions,
  children,
  isFilled = false,
}: {
  readonly title: string
  readonly subtitle?: ReactNode
  readonly actions?: ReactNode
  readonly children: ReactNode
  /** The content fills the screen and scrolls inside itself, as tables do. */
  readonly isFilled?: boolean
}) {
  return (
    <section className="sw-page" aria-label={title}>
      <header className="sw-page-header">
        <div className="sw-page-title">
          <Title order={1} size="h3" className="sw-ellipsis" title={title}>
            {title}
          </Title>
          {subtitle !== undefined && (
            <Text size="sm" c="dimmed" component="div" className="sw-ellipsis">
              {subtitle}
            </Text>
          )}
        </div>
        <Group gap="xs" wrap="nowrap">
          {actions}
        </Group>
      </header>
      <div className={isFilled ? "sw-page-fill" : "sw-page-body"} tabIndex={isFilled ? undefined : 0}>
        {children}
      </div>
    </section>
  )
}

/** A name and a value a line. */
export function Facts({ rows }: { readonly rows: readonly (readonly [name: string, value: ReactNode])[] }) {
  return (
    <dl className="sw-facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
