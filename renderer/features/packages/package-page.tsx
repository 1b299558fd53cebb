import { Button, Select, Tabs } from "@mantine/core"
import { IconChartBar, IconCloudUpload, IconDeviceFloppy, IconFolder, IconTrash } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import { connection } from "../../api/connection.ts"
import { desktop } from "../../api/desktop.ts"
import { fetchFile } from "../../api/files.ts"
import { queries, refresh } from "../../api/queries.ts"
import { go } from "../../api/router.ts"
import { confirmLoss, showFailure } from "../../ui/confirm.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Page } from "../../ui/page.tsx"
import { openPush } from "../../ui/push-package.tsx"
import { bytesText } from "../../ui/units.ts"
import { PackageContents } from "./package-contents.tsx"
import { PackageSignatures } from "./package-signatures.tsx"
import { Verdict } from "./verdict.tsx"

/** Device of this value: what anybody can check, without a key. */
const ANYBODY = "\u0000"

export function PackagePage({ file }: { readonly file: FileRef }) {
  const summary = useQuery(queries.summary(file))
  const devices = useQuery(queries.devices)
  const entry = (useQuery(queries.packages).data ?? []).find((each) => each.file === file)
  const [chosen, setChosen] = useState<string | null>(null)
  if (summary.error !== null)
    return (
      <Page
        title={entry?.name ?? "Package"}
        actions={<Forget file={file} name={entry?.name ?? "this package"} />}
      >
        <FailureNotice error={summary.error} onRetry={() => void summary.refetch()} />
      </Page>
    )
  if (summary.data?.kind !== "package" || devices.data === undefined)
    return <Page title={entry?.name ?? "Package"}>{null}</Page>
  const { name } = summary.data
  const holders = devices.data.filter(({ holdsKey }) => holdsKey).map(({ name }) => name)
  const device = chosen ?? holders.find((name) => entry?.devices.includes(name) === true) ?? ANYBODY
  return (
    <Page
      title={summary.data.name}
      subtitle={`${bytesText(summary.data.bytes)}${typeof entry?.model === "string" ? `, made from ${entry.model}` : ""}`}
      isFilled
      actions={
        <>
          <Button
            leftSection={<IconChartBar size={16} aria-hidden />}
            variant="default"
            onClick={() => go("validate", file)}
          >
            Validate…
          </Button>
          <Button
            leftSection={<IconCloudUpload size={16} aria-hidden />}
            variant="default"
            onClick={() => openPush(file, name)}
          >
            Push…
          </Button>
          <Button
            variant="default"
            leftSection={
              desktop === null ? (
                <IconDeviceFloppy size={16} aria-hidden />
              ) : (
                <IconFolder size={16} aria-hidden />
              )
            }
            onClick={() => void fetchFile(file, desktop === null ? "save" : "reveal").catch(showFailure)}
          >
            {desktop === null ? "Save a copy" : "Show in folder"}
          </Button>
          <Forget file={file} name={summary.data.name} />
        </>
      }
    >
      <Tabs defaultValue="checks" className="sw-tabs" keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="checks">Checks</Tabs.Tab>
          <Tabs.Tab value="contents">Contents</Tabs.Tab>
          <Tabs.Tab value="signatures">Signatures</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="checks" className="sw-scroll" tabIndex={0}>
          <Select
            label="Judge it as"
            data={[
              { value: ANYBODY, label: "anybody (without a device's key)" },
              ...holders.slice(0, 500).map((name) => ({ value: name, label: `device ${name}` })),
            ]}
            value={device}
            onChange={setChosen}
            w={280}
            mb="sm"
            searchable
          />
          <Verdict
            key={device}
            file={file}
            name={summary.data.name}
            device={device === ANYBODY ? null : device}
          />
        </Tabs.Panel>
        <Tabs.Panel value="contents" className="sw-scroll" tabIndex={0}>
          <PackageContents summary={summary.data} />
        </Tabs.Panel>
        <Tabs.Panel value="signatures" className="sw-scroll" tabIndex={0}>
          <PackageSignatures summary={summary.data} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  )
}

function Forget({ file, name }: { readonly file: FileRef; readonly name: string }) {
  const forget = () =>
    confirmLoss({
      title: `Take ${name} off the list?`,
      loss: "Only the entry in this list goes. The file stays where it is.",
      verb: "Take off the list",
      onConfirm: async () => {
        await connection.client.library.forget({ file })
        await refresh("packages")
        go("packages")
      },
    })
  return (
    <Button variant="subtle" color="gray" onClick={forget} leftSection={<IconTrash size={16} aria-hidden />}>
      Forget…
    </Button>
  )
}
