/** Trace: drop a suspect, learn whose copy it is, and with what certainty. */
import { Button, Group, Select, Text } from "@mantine/core"
import { IconFolderOpen, IconZoomQuestion } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import type { Ledger } from "../../../main/contract/schema/ledger.ts"
import { chooseFiles } from "../../api/choose.ts"
import { toFailure } from "../../api/failure.ts"
import { bringIn } from "../../api/intake.ts"
import { openModels } from "../../api/open-models.ts"
import { queries } from "../../api/queries.ts"
import { go } from "../../api/router.ts"
import { useStore, type Store } from "../../api/store.ts"
import { suspicion, takeSuspect, type NamedFile } from "../../api/suspect.ts"
import { Empty } from "../../ui/empty.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Facts, Page } from "../../ui/page.tsx"
import { StepBar } from "../../ui/step-bar.tsx"
import { plural } from "../../ui/units.ts"
import { TraceOutcome } from "./trace-result.tsx"
import { startTrace, traceRun, type TraceRun } from "./trace-run.ts"

export function TraceScreen() {
  const { data: ledger, error, refetch } = useQuery(queries.ledger)
  const run = useStore(traceRun)
  if (error !== null)
    return toFailure(error).code === "LEDGER_NOT_FOUND" ? (
      <NoLedger />
    ) : (
      <Page title="Trace">
        <FailureNotice error={error} onRetry={() => void refetch()} />
      </Page>
    )
  if (ledger === undefined) return <Page title="Trace">{null}</Page>
  return run === null ? <Suspect ledger={ledger} /> : <Running run={run} />
}

function NoLedger() {
  return (
    <Page title="Trace">
      <Empty
        icon={<IconZoomQuestion size={36} stroke={1.4} aria-hidden />}
        title="No copies to compare with yet"
        action={<Button onClick={() => go("models")}>Protect a model</Button>}
      >
        Tracing tells whose copy a found model is. It needs copies that carry a mark: protect a model, and its
        copies are written into this workspace's ledger.
      </Empty>
    </Page>
  )
}

function Suspect({ ledger }: { readonly ledger: Ledger }) {
  const { suspect, original } = useStore(suspicion)
  const choose = async () => bringIn(await chooseFiles(), takeSuspect)
  const known = `${plural(ledger.copies, "copy", "copies")} of ${plural(ledger.models.length, "model")} in the ledger`
  if (suspect === null)
    return (
      <Page title="Trace" subtitle={known}>
        <Empty
          icon={<IconZoomQuestion size={36} stroke={1.4} aria-hidden />}
          title="Drop the model you found"
          action={
            <Button leftSection={<IconFolderOpen size={16} aria-hidden />} onClick={() => void choose()}>
              Choose suspect…
            </Button>
          }
        >
          It is compared with every copy that was ever made here, also after conversion, quantisation or
          pruning. It is read, never run.
        </Empty>
      </Page>
    )
  const start = () => traceRun.set(startTrace(suspect, original))
  return (
    <Page
      title="Trace"
      subtitle={known}
      actions={
        <Button leftSection={<IconZoomQuestion size={16} aria-hidden />} onClick={start} autoFocus>
          Trace
        </Button>
      }
    >
      <div className="sw-panel">
        <Facts
          rows={[
            [
              "Suspect",
              <Group key="suspect" gap="sm" wrap="nowrap">
                <span className="sw-wrap">{suspect.name}</span>
                <Button size="compact-xs" variant="default" onClick={() => void choose()}>
                  Choose another…
                </Button>
              </Group>,
            ],
            ["Original", <Original key="original" original={original} ledger={ledger} />],
          ]}
        />
      </div>
      <Text size="sm" c="dimmed" maw={640}>
        The original is the model as it was before it was protected. The mark is read by comparing with it, so
        it is needed; it stays on this computer.
      </Text>
    </Page>
  )
}

const BESIDE = "beside"

/** Models open in this window are at hand; anything else can be chosen. */
function Original({ original, ledger }: { readonly original: NamedFile | null; readonly ledger: Ledger }) {
  const models = useStore(openModels)
  const marked = new Set(ledger.models.map(({ name }) => name))
  const set = (file: NamedFile | null) => suspicion.update((now) => ({ ...now, original: file }))
  const choose = async () =>
    bringIn(await chooseFiles(), ([first]) => {
      if (first !== undefined) set({ file: first.file, name: first.name })
    })
  const known = models.filter(({ file }) => file !== original?.file)
  const listed = original === null ? known : [original, ...known]
  return (
    <Group gap="sm" wrap="nowrap">
      <Select
        aria-label="Original"
        w={320}
        data={[
          { value: BESIDE, label: "look beside the suspect" },
          ...listed.map(({ file, name }) => ({
            value: file,
            label: marked.has(name) ? `${name} (in the ledger)` : name,
          })),
        ]}
        value={original?.file ?? BESIDE}
        onChange={(value) => {
          const found = listed.find(({ file }) => file === value)
          set(found === undefined ? null : { file: found.file, name: found.name })
        }}
      />
      <Button size="compact-xs" variant="default" onClick={() => void choose()}>
        Choose original…
      </Button>
    </Group>
  )
}

function Running({ run }: { readonly run: Store<TraceRun> }) {
  const { suspect, steps, outcome, failure, cancel } = useStore(run)
  const isRunning = outcome === null && failure === null
  const again = () => traceRun.set(null)
  const another = () => {
    suspicion.update((now) => ({ ...now, suspect: null }))
    again()
  }
  return (
    <Page
      title={isRunning ? `Tracing ${suspect.name}` : `Trace of ${suspect.name}`}
      actions={
        isRunning ? (
          <Button variant="default" onClick={cancel}>
            Cancel
          </Button>
        ) : (
          <Button variant="default" onClick={another}>
            Trace another
          </Button>
        )
      }
    >
      {outcome !== null && <TraceOutcome outcome={outcome} />}
      {failure !== null && <FailureNotice failure={failure} onRetry={again} />}
      {outcome === null && (
        <div className="sw-panel" role="group" aria-label="Steps" aria-busy={isRunning}>
          {steps.map((step) => (
            <StepBar key={step.id} step={step} />
          ))}
        </div>
      )}
    </Page>
  )
}
