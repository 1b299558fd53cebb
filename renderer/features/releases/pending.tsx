/** What waits for signatures of others: the request goes out as a file, and the answers come back as files. */
import { Button, Group, Text } from "@mantine/core"
import type { Pending } from "../../../main/contract/schema/trust.ts"
import { chooseFiles } from "../../api/choose.ts"
import { connection } from "../../api/connection.ts"
import { fetchFile } from "../../api/files.ts"
import { bringIn } from "../../api/intake.ts"
import { refresh } from "../../api/queries.ts"
import { confirmLoss, showFailure } from "../../ui/confirm.tsx"
import { StateBadge } from "../../ui/state.tsx"
import { DocumentWords } from "./document-words.tsx"

export function PendingSignatures({ pending }: { readonly pending: Pending }) {
  const request = async () => {
    const { client } = connection
    const { file } = await client.shell.newOutput({
      name: "signatures.request.json",
      kind: "exchange",
      from: null,
    })
    await client.trust.request({ output: { file, replace: false } })
    await fetchFile(file, "save")
  }
  const assemble = async () =>
    bringIn(await chooseFiles(), async (answers) => {
      await connection.client.trust.assemble({ answers: answers.map(({ file }) => file) })
      await refresh("trust", "releases", "fleet")
    })
  const discard = () =>
    confirmLoss({
      title: `Discard "${pending.title}"?`,
      loss: "The draft and the signatures it has so far are lost. What is in force stays as it is.",
      verb: "Discard draft",
      onConfirm: async () => {
        await connection.client.trust.discard()
        await refresh("trust", "releases")
      },
    })
  return (
    <section className="sw-panel sw-pending" aria-label="Waiting for signatures">
      <Group gap="xs" mb={6}>
        <StateBadge state="attention">waiting for signatures</StateBadge>
        <Text fw={600} size="sm" className="sw-wrap">
          {pending.title}
        </Text>
      </Group>
      <DocumentWords documents={pending.documents} />
      <Group gap="xs" mt="sm">
        <Button onClick={() => void request().catch(showFailure)}>Save request for the others</Button>
        <Button variant="default" onClick={() => void assemble().catch(showFailure)}>
          Bring in answers…
        </Button>
        <Button variant="subtle" color="gray" onClick={discard}>
          Discard…
        </Button>
      </Group>
    </section>
  )
}
