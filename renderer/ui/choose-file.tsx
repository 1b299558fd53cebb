/** A small file that goes with a job: chosen, shown by its name, taken away. */
import { Button, Group } from "@mantine/core"
import type { FileRef } from "../../main/contract/schema/base.ts"
import { chooseFiles } from "../api/choose.ts"
import { bringIn } from "../api/intake.ts"
import { showFailure } from "./confirm.tsx"
import { TakeAway } from "./take-away.tsx"

export interface ChosenFile {
  readonly file: FileRef
  readonly name: string
}

export function ChooseFile({
  what,
  accept,
  none,
  value,
  onChange,
}: {
  /** Such as `policy`. */
  readonly what: string
  /** Endings, as the system's dialog wants them: `.json`. */
  readonly accept: string
  /** What holds without one. */
  readonly none: string
  readonly value: ChosenFile | null
  readonly onChange: (value: ChosenFile | null) => void
}) {
  const choose = async () =>
    bringIn(await chooseFiles(accept), ([first]) => {
      if (first !== undefined) onChange({ file: first.file, name: first.name })
    })
  return (
    <Group gap={8} wrap="nowrap">
      <span className="sw-ellipsis" title={value?.name ?? none}>
        {value?.name ?? none}
      </span>
      {value !== null && <TakeAway name={value.name} onClick={() => onChange(null)} />}
      <Button
        size="compact-xs"
        variant="default"
        onClick={() => void choose().catch(showFailure)}
        style={{ flex: "none" }}
      >
        Choose {what}…
      </Button>
    </Group>
  )
}
