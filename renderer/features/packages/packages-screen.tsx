/** Packages: what was made or opened here; opening one verifies it. */
import { Button, TextInput } from "@mantine/core"
import { IconFolderOpen, IconPackage } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import type { PackageEntry } from "../../../main/contract/schema/library.ts"
import { chooseFiles } from "../../api/choose.ts"
import { takeFiles } from "../../api/intake.ts"
import { queries } from "../../api/queries.ts"
import { go } from "../../api/router.ts"
import { DataTable } from "../../ui/data-table.tsx"
import { Empty } from "../../ui/empty.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { packageColumns } from "../../ui/package-columns.tsx"
import { Page } from "../../ui/page.tsx"
import { useSearch } from "../../ui/search.ts"
import { plural } from "../../ui/units.ts"
import { PackagePage } from "./package-page.tsx"

export function PackagesScreen({ file }: { readonly file: FileRef | null }) {
  return file === null ? <PackageList /> : <PackagePage file={file} />
}

function PackageList() {
  const { data, error, refetch } = useQuery(queries.packages)
  const search = useSearch(data ?? NONE, wordsOf)
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
            value={search.text}
            onChange={(event) => search.setText(event.currentTarget.value)}
            w={240}
          />
          {open}
        </>
      }
    >
      <DataTable
        label="Packages"
        rows={search.found}
        columns={packageColumns}
        idOf={idOf}
        onOpen={openEntry}
      />
    </Page>
  )
}

const NONE: readonly PackageEntry[] = []
const DEVICES_SEARCHED = 50

function wordsOf({ name, model, devices }: PackageEntry): readonly string[] {
  return [name, model ?? "", ...devices.slice(0, DEVICES_SEARCHED)]
}

function idOf({ file }: PackageEntry): string {
  return file
}

function openEntry({ file }: PackageEntry): void {
  go("packages", file)
}

async function openPackage(): Promise<void> {
  await takeFiles(await chooseFiles(".seal"), { screen: "packages", file: null, name: null })
}
