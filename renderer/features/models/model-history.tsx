import { Text } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useMemo } from "react"
import { queries } from "../../api/queries.ts"
import { go } from "../../api/router.ts"
import { DataTable } from "../../ui/data-table.tsx"
import { packageColumns } from "../../ui/package-columns.tsx"

/** Packages of this workspace that were made from a model of this name. */
export function ModelHistory({ name }: { readonly name: string }) {
  const { data } = useQuery(queries.packages)
  const rows = useMemo(() => (data ?? []).filter(({ model }) => model === name), [data, name])
  if (rows.length === 0)
    return (
      <Text size="sm" c="dimmed" p="md">
        No package was made from it in this workspace yet. Protect… makes the first one.
      </Text>
    )
  return (
    <DataTable
      label="Packages made from this model"
      rows={rows}
      columns={packageColumns}
      idOf={({ file }) => file}
      onOpen={({ file }) => go("packages", file)}
    />
  )
}
