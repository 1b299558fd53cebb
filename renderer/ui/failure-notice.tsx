import { Alert, Button, Group, Text } from "@mantine/core"
import { IconAlertCircle } from "@tabler/icons-react"
import { toFailure, type Failure } from "../api/failure.ts"

/** A failure: what happened, what to do, and the code small beside it. */
export function FailureNotice({
  error,
  failure = toFailure(error),
  onRetry,
}: {
  readonly error?: unknown
  readonly failure?: Failure
  readonly onRetry?: (() => void) | undefined
}) {
  return (
    <Alert
      color="red"
      variant="outline"
      icon={<IconAlertCircle size={18} aria-hidden />}
      role="alert"
      className="sw-failure"
    >
      <Text fw={600} className="sw-wrap">
        {failure.message}
      </Text>
      <Text size="sm" className="sw-wrap">
        {failure.hint}
      </Text>
      <Group gap="sm" mt={6}>
        {onRetry !== undefined && (
          <Button size="compact-xs" variant="default" onClick={onRetry}>
            Try again
          </Button>
        )}
        <code className="sw-code">{failure.code}</code>
      </Group>
    </Alert>
  )
}
