import { Text } from "@mantine/core"
import { modals } from "@mantine/modals"
import { notifications } from "@mantine/notifications"
import { toFailure } from "../api/failure.ts"

/** Asks before something is lost, and says what. The safe answer has the focus. */
export function confirmLoss(options: {
  readonly title: string
  readonly loss: string
  readonly verb: string
  readonly onConfirm: () => Promise<void>
}): void {
  modals.openConfirmModal({
    title: options.title,
    children: <Text size="sm">{options.loss}</Text>,
    labels: { confirm: options.verb, cancel: "Keep" },
    closeButtonProps: { "aria-label": "Close" },
    // The middle red is too light for small white letters.
    confirmProps: { color: "red.9", size: "xs" },
    cancelProps: { size: "xs", "data-autofocus": true },
    onConfirm: () => {
      options.onConfirm().catch(showFailure)
    },
  })
}

/** For failures of small acts that have no place of their own on the screen. */
export function showFailure(error: unknown): void {
  const { message, hint, code } = toFailure(error)
  notifications.show({ color: "red", title: message, message: `${hint} (${code})`, autoClose: 10_000 })
}
