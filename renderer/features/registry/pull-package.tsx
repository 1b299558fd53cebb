import { Text } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import type { Progress } from "../../../main/contract/schema/base.ts"
import type { Connection } from "../../../main/contract/schema/registry.ts"
import { connection } from "../../api/connection.ts"
import { runJob } from "../../api/jobs.ts"
import { queries, refresh } from "../../api/queries.ts"
import { go } from "../../api/router.ts"
import { DialogForm, openDialog } from "../../ui/form-dialog.tsx"
import { PlaceFields, placeOf, type PlaceChoice } from "../../ui/place-fields.tsx"
import { rateText } from "../../ui/step-bar.tsx"

export function openPull(): void {
  openDialog("Pull a package", (close) => <Pull onClose={close} />)
}

function Pull({ onClose }: { readonly onClose: () => void }) {
  const connections = useQuery(queries.connections).data
  return connections === undefined ? null : <PullForm connections={connections} onClose={onClose} />
}

/** Once it is here it is judged like any other file: the registry's word counts for nothing. */
function PullForm({
  connections,
  onClose,
}: {
  readonly connections: readonly Connection[]
  readonly onClose: () => void
}) {
  const [choice, setChoice] = useState<PlaceChoice>({
    host: connections[0]?.host ?? null,
    repository: "",
    tag: "",
  })
  const [progress, setProgress] = useState<Progress | null>(null)
  const from = placeOf(choice, connections)
  const pull = async () => {
    if (from === null) return
    const { client } = connection
    try {
      const stem = choice.repository.trim().split("/").at(-1) ?? "package"
      const output = await client.shell.newOutput({ name: `${stem}.seal`, kind: "package", from: null })
      await runJob(
        `Pull ${choice.repository.trim()}`,
        async (options) =>
          client.registry.pull(
            {
              from,
              reference: choice.tag.trim(),
              grants: { kind: "all" },
              output: { file: output.file, replace: false },
            },
            options,
          ),
        setProgress,
      )
      const { file } = await client.library.remember({ file: output.file })
      await refresh("packages")
      go("packages", file)
    } finally {
      setProgress(null)
    }
  }
  return (
    <DialogForm verb="Pull" isReady={from !== null} act={pull} onClose={onClose}>
      <PlaceFields connections={connections} value={choice} onChange={setChoice} tagLabel="Tag or digest" />
      <Text size="xs" c="dimmed">
        {progress === null ? "It is verified as soon as it is here." : rateText(progress)}
      </Text>
    </DialogForm>
  )
}
