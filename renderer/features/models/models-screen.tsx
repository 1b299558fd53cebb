/** Models: drop one anywhere, see what it is, go on to protecting it. */
import { Anchor, Button, Group } from "@mantine/core"
import { IconBox, IconFolderOpen } from "@tabler/icons-react"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import { chooseFiles } from "../../api/choose.ts"
import { openSample, takeFiles } from "../../api/intake.ts"
import { openModels, type OpenModel } from "../../api/open-models.ts"
import { go } from "../../api/router.ts"
import { useStore } from "../../api/store.ts"
import { showFailure } from "../../ui/confirm.tsx"
import { DataTable, type Column } from "../../ui/data-table.tsx"
import { Empty } from "../../ui/empty.tsx"
import { Page } from "../../ui/page.tsx"
import { agoText } from "../../ui/units.ts"
import { ModelPage } from "./model-page.tsx"

export function ModelsScreen({ file }: { readonly file: FileRef | null }) {
  const models = useStore(openModels)
  if (file !== null) return <ModelPage file={file} />
  if (models.length === 0) return <NoModels />
  return (
    <Page title="Models" subtitle="Open in this window" actions={<OpenButton />} isFilled>
      <DataTable
        label="Models"
        rows={models}
        columns={COLUMNS}
        idOf={(model) => model.file}
        onOpen={(model) => go("models", model.file)}
      />
    </Page>
  )
}

function NoModels() {
  return (
    <Page title="Models">
      <Empty
        icon={<IconBox size={36} stroke={1.4} aria-hidden />}
        title="Drop an ONNX model anywhere in this window"
        action={
          <Group gap="md" justify="center">
            <OpenButton />
            <Anchor
              component="button"
              size="sm"
              onClick={() => void openSample().catch(showFailure)}
              data-sample
            >
              Use the sample model
            </Anchor>
          </Group>
        }
      >
        External data goes with it: drop the files together. Nothing leaves this computer.
      </Empty>
    </Page>
  )
}

function OpenButton() {
  const open = async () => takeFiles(await chooseFiles(), { screen: "models", file: null, name: null })
  return (
    <Button leftSection={<IconFolderOpen size={16} aria-hidden />} onClick={() => void open()}>
      Open model…
    </Button>
  )
}

const COLUMNS: readonly Column<OpenModel>[] = [
  { id: "name", heading: "Name", width: "2fr", value: ({ name }) => name, cell: ({ name }) => name },
  {
    id: "data",
    heading: "Test data",
    width: "1.5fr",
    value: ({ data }) => data?.name ?? "",
    cell: ({ data }) => data?.name ?? "none",
  },
  {
    id: "opened",
    heading: "Opened",
    width: "140px",
    value: ({ openedAt }) => openedAt,
    cell: ({ openedAt }) => agoText(openedAt),
  },
]
