/** The arrays a model is measured on: shown, chosen, taken away. */
import { Button, Group, Text } from "@mantine/core"
import type { FileRef } from "../../main/contract/schema/base.ts"
import { chooseFiles } from "../api/choose.ts"
import { takeFiles } from "../api/intake.ts"
import { changeModel, openModels } from "../api/open-models.ts"
import { useStore } from "../api/store.ts"
import { TakeAway } from "./take-away.tsx"

export function TestData({ file }: { readonly file: FileRef }) {
  const model = useStore(openModels).find((each) => each.file === file)
  const choose = async () => takeFiles(await chooseFiles(".npy"), { screen: "models", file, name: null })
  const rows = [
    { label: "Inputs", value: model?.data ?? null, clear: { data: null } },
    { label: "Right answers", value: model?.labels ?? null, clear: { labels: null } },
  ]
  return (
    <div className="sw-data">
      {rows.map(({ label, value, clear }) => (
        <Group key={label} gap={6} wrap="nowrap" className="sw-data-row">
          <Text span size="sm" c="dimmed" className="sw-data-label">
            {label}
          </Text>
          <Text span size="sm" className="sw-ellipsis" title={value?.name ?? ""}>
            {value?.name ?? "none"}
          </Text>
          {value !== null && <TakeAway name={value.name} onClick={() => changeModel(file, clear)} />}
        </Group>
      ))}
      <Group gap="sm" mt={4}>
        <Button size="compact-xs" variant="default" onClick={() => void choose()}>
          Choose arrays…
        </Button>
        <Text size="xs" c="dimmed">
          {(model?.data ?? null) === null
            ? "Without any, random inputs are used: no accuracy."
            : "NumPy .npy; drop new ones to replace them."}
        </Text>
      </Group>
    </div>
  )
}
