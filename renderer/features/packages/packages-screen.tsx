/** Packages: what was made or opened here; opening one verifies it. */
import { Button, TextInput } from "@mantine/core"
import { IconFolderOpen, IconPackage } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useDeferredValue, useMemo, useState } from "react"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import { chooseFiles } from "../../api/choose.ts"
import { takeFiles } from "../../api/intake.ts"
import { queries } from "../../api/queries.ts"
import { go } from "../../api/router.ts"
import { DataTable } from "../../ui/data-table.tsx"
import { Empty } from "../../ui/empty.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { packageColumns } from "../../ui/package-columns.tsx"
import { Page } from "../../ui/page.tsx"
import { plural } from "../../ui/units.ts"
import { PackagePage } from "./package-page.tsx"

export function PackagesScreen({ file }: { readonly file: FileRef | null }) {
  return file === null ? <PackageList /> : <PackagePage file={file} />
}

function PackageList() {
  const { data, error, refetch } = useQuery(queries.packages)
  const [search, setSearch] = useState("")
  const wanted = useDeferredValue(search.trim().toLowerCase())
  const rows = useMemo(
    () =>
      (data ?? []).filter(({ name, model, devices }) =>
        [name, model ?? "", ...devices.slice(0, 50)].some((text) => text.toLowerCase().includes(wanted)),
      ),
    [data, wanted],
  )
  const open = (
    <Button leftSection={<IconFolderOpen size={16} aria-hidden />} onClick={() => void openPackage()}>
      Open package…
    </Button>
  )
  if (error !== null)
    return (
      <Page title="Packages" actions={open}>
        <FailureNotice error={error} onRetry={() => void refetch()} />
      </Page>
    )
  if (data?.length === 0)
    return (
      <Page title="Packages">
        <Empty
          icon={<IconPackage size={36} stroke={1.4} aria-hidden />}
          title="No packages yet"
          action={open}
        >
          Drop a .seal file to verify it, or protect a model: its package appears here.
        </Empty>
      </Page>
    )
  return (
    <Page
      title="Packages"
      subtitle={data === undefined ? "Reading…" : plural(data.length, "package")}
      isFilled
      actions={
        <>
          <TextInput
            aria-label="Find packages"
            placeholder="Find by name, model or device"
            value={search}
            onChange={(event) => setSearch(event.currentTarget.value)}
            w={240}
          />
          {open}
        </>
      }
    >
      <DataTable
        label="Packages"
        rows={rows}
        columns={packageColumns}
        idOf={({ file }) => file}
        onOpen={({ file }) => go("packages", file)}
      />
    </Page>
  )
}

async function openPackage(): Promise<void> {
  await takeFiles(await chooseFiles(".seal"), { screen: "packages", file: null, name: null })
}
