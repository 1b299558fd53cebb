import { ActionIcon } from "@mantine/core"
import { IconX } from "@tabler/icons-react"

/** Beside the name of something that was chosen: does without it again. */
export function TakeAway({ name, onClick }: { readonly name: string; readonly onClick: () => void }) {
  return (
    <ActionIcon size="xs" variant="subtle" color="gray" aria-label={`Take ${name} away`} onClick={onClick}>
      <IconX size={12} aria-hidden />
    </ActionIcon>
  )
}
