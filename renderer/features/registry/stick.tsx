/** Where no network reaches: what a ring needs goes out as one file, and what its devices say comes back as one. */
import { Button, Group, Select, Text, Title } from "@mantine/core"
import { IconDownload, IconUpload } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import type { Imported } from "../../../main/contract/schema/release.ts"
import { chooseFiles } from "../../api/choose.ts"
import { connection } from "../../api/connection.ts"
import { fetchFile } from "../../api/files.ts"
import { bringIn } from "../../api/intake.ts"
import { runJob } from "../../api/jobs.ts"
import { queries, refresh } from "../../api/queries.ts"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { StateBadge, type State } from "../../ui/state.tsx"

export function Stick() {
  const rings = useQuery(queries.rings).data ?? []
  const [chosen, setChosen] = useState<string | null>(null)
  const [imported, setImported] = useState<Imported | null>(null)
  const [error, setError] = useState<unknown>(null)
  const [isBusy, setBusy] = useState(false)
  const ring = chosen ?? rings[0]?.name ?? null
  const attempt = async (act: () => Promise<void>) => {
    setBusy(true)
    setError(null)
    try {
      await act()
    } catch (failure) {
      setError(failure)
    } finally {
      setBusy(false)
    }
  }
  const importReceipts = async () =>
    bringIn(await chooseFiles(), async ([first]) => {
      if (first === undefined) return
      setImported(await connection.client.fleet.import({ file: first.file }))
      await refresh("fleet", "releases")
    })
  return (
    <section aria-label="By stick" className="sw-panel">
      <Title order={2} size="h5">
        By USB stick
      </Title>
      <Group gap="xs" align="flex-end" mt={6}>
        <Select
          label="Ring"
          placeholder="No ring yet"
          data={rings.map(({ name }) => name)}
          value={ring}
          onChange={setChosen}
          w={220}
        />
        <Button
          variant="default"
          leftSection={<IconDownload size={16} aria-hidden />}
          disabled={ring === null}
          loading={isBusy}
          onClick={() => void attempt(async () => exportRing(ring ?? ""))}
        >
          Export for the ring
        </Button>
        <Button
          variant="default"
          leftSection={<IconUpload size={16} aria-hidden />}
          onClick={() => void attempt(importReceipts)}
        >
          Import receipts…
        </Button>
      </Group>
      <Text size="xs" c="dimmed" mt={6}>
        {ring === null
          ? "Releases makes rings. What a ring needs is then one file: packages, grants and trust metadata."
          : "The file holds all a device of the ring needs to verify and install without a network. It is useless to anybody else."}
      </Text>
      {error !== null && <FailureNotice error={error} />}
      {imported !== null && <Receipts imported={imported} />}
    </section>
  )
}

async function exportRing(ring: string): Promise<void> {
  const { client } = connection
  const output = await client.shell.newOutput({ name: `${ring}.seal`, kind: "exchange", from: null })
  await runJob(`Export for ${ring}`, async (options) =>
    client.fleet.export(
      { scope: { kind: "ring", ring }, output: { file: output.file, replace: false } },
      options,
    ),
  )
  await fetchFile(output.file, "save")
}

const STATES: Readonly<Record<Imported["receipts"][number]["result"], State>> = {
  taken: "verified",
  known: "neutral",
  refused: "refused",
}

function Receipts({ imported: { receipts } }: { readonly imported: Imported }) {
  if (receipts.length === 0)
    return (
      <Text size="sm" mt="xs">
        The file holds no receipts.
      </Text>
    )
  return (
    <ul className="sw-jobs" aria-label="Receipts" style={{ marginTop: 8 }}>
      {receipts.slice(0, 200).map(({ device, result, reason }, index) => (
        <li key={index}>
          <StateBadge state={STATES[result]}>{result}</StateBadge>
          <span className="sw-job-title sw-wrap">{device ?? "unknown device"}</span>
          <Text span size="xs" c="dimmed" className="sw-wrap">
            {reason}
          </Text>
        </li>
      ))}
    </ul>
  )
}
