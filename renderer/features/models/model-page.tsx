import { Button, Loader, Tabs } from "@mantine/core"
import { IconShieldLock } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import type { ModelSummary } from "../../../main/contract/schema/inspect.ts"
import { closeModel } from "../../api/open-models.ts"
import { queries } from "../../api/queries.ts"
import { go } from "../../api/router.ts"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Page } from "../../ui/page.tsx"
import { bytesText, countText, plural } from "../../ui/units.ts"
import { ModelHistory } from "./model-history.tsx"
import { ModelOverview } from "./model-overview.tsx"
import { TensorsTable } from "./tensors-table.tsx"

export function ModelPage({ file }: { readonly file: FileRef }) {
  const { data, error, refetch } = useQuery(queries.summary(file))
  if (error !== null)
    return (
      <Page title="Model">
        <FailureNotice error={error} onRetry={() => void refetch()} />
      </Page>
    )
  if (data === undefined)
    return (
      <Page title="Model">
        <Loader size="sm" aria-label="Reading the model" />
      </Page>
    )
  if (data.kind === "package") {
    go("packages", file)
    return null
  }
  return <Loaded file={file} model={data} />
}

function Loaded({ file, model }: { readonly file: FileRef; readonly model: ModelSummary }) {
  const facts = `${bytesText(model.bytes)}, ${countText(model.parameters)} parameters, ${plural(model.nodes, "node")}`
  return (
    <Page
      title={model.name}
      subtitle={facts}
      isFilled
      actions={
        <>
          <Button
            variant="subtle"
            color="gray"
            onClick={() => {
              closeModel(file)
              go("models")
            }}
          >
            Close
          </Button>
          <Button
            leftSection={<IconShieldLock size={16} aria-hidden />}
            onClick={() => go("protect", file)}
            data-autofocus
            autoFocus
          >
            Protect…
          </Button>
        </>
      }
    >
      <Tabs defaultValue="overview" className="sw-tabs" keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="overview">Overview</Tabs.Tab>
          <Tabs.Tab value="tensors">Tensors ({model.tensors.length.toLocaleString("en")})</Tabs.Tab>
          <Tabs.Tab value="history">Packages</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="overview" className="sw-scroll" tabIndex={0}>
          <ModelOverview file={file} model={model} />
        </Tabs.Panel>
        <Tabs.Panel value="tensors" className="sw-fill">
          <TensorsTable tensors={model.tensors} />
        </Tabs.Panel>
        <Tabs.Panel value="history" className="sw-fill">
          <ModelHistory name={model.name} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  )
}
