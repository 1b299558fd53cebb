/** A form in a dialog: it stays until its act succeeded, and says why when it did not. */
import { Button, Group, type MantineColor } from "@mantine/core"
import { modals } from "@mantine/modals"
import { useState, type ReactNode } from "react"
import { FailureNotice } from "./failure-notice.tsx"

/** `content` gets what closes the dialog. */
export function openDialog(
  title: string,
  content: (close: () => void) => ReactNode,
  size: "md" | "xl" = "md",
): void {
  const id = modals.open({
    title,
    size,
    closeButtonProps: { "aria-label": "Close" },
    children: content(() => modals.close(id)),
  })
}

export function DialogForm({
  verb,
  color,
  isReady = true,
  act,
  onClose,
  children,
}: {
  readonly verb: string
  readonly color?: MantineColor
  readonly isReady?: boolean
  /** What it answers decides whether the dialog closes; without an answer it does. */
  readonly act: () => Promise<"stay" | void>
  readonly onClose: () => void
  readonly children: ReactNode
}) {
  const [error, setError] = useState<unknown>(null)
  const [isBusy, setBusy] = useState(false)
  const submit = async () => {
    setBusy(true)
    setError(null)
    try {
      if ((await act()) !== "stay") onClose()
    } catch (failure) {
      setError(failure)
    } finally {
      setBusy(false)
    }
  }
  return (
    <form
      className="sw-form"
      onSubmit={(event) => {
        event.preventDefault()
        void submit()
      }}
    >
      {children}
      {error !== null && <FailureNotice error={error} />}
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button
          type="submit"
          loading={isBusy}
          disabled={!isReady}
          {...(color === undefined ? {} : { color })}
        >
          {verb}
        </Button>
      </Group>
    </form>
  )
}
