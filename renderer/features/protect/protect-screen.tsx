/** Protect in three steps on one page. Every step has an answer already, so Enter goes all the way. */
import { Button, Loader, Select, Text } from "@mantine/core"
import { IconShieldLock } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useState, type ReactNode } from "react"
import type { FileRef, Mode } from "../../../main/contract/schema/base.ts"
import type { ModelSummary } from "../../../main/contract/schema/inspect.ts"
import type { Device, Key } from "../../../main/contract/schema/keys.ts"
import { addModel, openModels, type OpenModel } from "../../api/open-models.ts"
import { queries } from "../../api/queries.ts"
import { go } from "../../api/router.ts"
import { useStore, type Store } from "../../api/store.ts"
import { ChooseFile, type ChosenFile } from "../../ui/choose-file.tsx"
import { Empty } from "../../ui/empty.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Facts, Page } from "../../ui/page.tsx"
import { TestData } from "../../ui/test-data.tsx"
import { bytesText, countText, plural } from "../../ui/units.ts"
import { defaultDevices, keepDevices } from "./defaults.ts"
import { DeviceChoice } from "./device-choice.tsx"
import { DEFAULT_MARK, MarkFields, type MarkChoice } from "./mark-choice.tsx"
import { ProtectProgress } from "./protect-progress.tsx"
import { startProtect, type ProtectRun } from "./protect-run.ts"

export function ProtectScreen({ file }: { readonly file: FileRef | null }) {
  const model = useStore(openModels).find((each) => each.file === file)
  const summary = useQuery({ ...queries.summary(file ?? NO_FILE), enabled: file !== null })
  const devices = useQuery(queries.devices)
  const keys = useQuery(queries.keys)
  const error = summary.error ?? devices.error ?? keys.error
  if (file === null) return <NoModel />
  if (error !== null)
    return (
      <Page title="Protect">
        <FailureNotice
          error={error}
          onRetry={() => void Promise.all([summary.refetch(), devices.refetch(), keys.refetch()])}
        />
      </Page>
    )
  if (summary.data?.kind !== "model" || devices.data === undefined || keys.data === undefined)
    return (
      <Page title="Protect">
        <Loader size="sm" aria-label="Reading the model" />
      </Page>
    )
  if (model === undefined) {
    addModel(file, summary.data.name)
    return null
  }
  return <Steps model={model} summary={summary.data} devices={devices.data} keys={keys.data} />
}

interface StepsProps {
  readonly model: OpenModel
  readonly summary: ModelSummary
  readonly devices: readonly Device[]
  readonly keys: readonly Key[]
}

function Steps({ model, summary, devices, keys }: StepsProps) {
  const [chosen, setChosen] = useState<readonly string[]>(() => defaultDevices(devices))
  const [mode, setMode] = useState<Mode>("individual")
  const signingKeys = keys.filter(({ purpose }) => purpose === "signing")
  const [signingKey, setSigningKey] = useState<string | null>(() => signingKeys[0]?.name ?? null)
  const [mark, setMark] = useState<MarkChoice>(DEFAULT_MARK)
  const [policy, setPolicy] = useState<ChosenFile | null>(null)
  const [run, setRun] = useState<Store<ProtectRun> | null>(null)
  const isReady = chosen.length > 0
  // The test data may have been taken away since.
  const markNow = mark === "data" && model.data === null ? "cautious" : mark
  const start = () => {
    keepDevices(chosen)
    setRun(
      startProtect({
        model,
        devices: chosen,
        known: devices,
        mode,
        signingKey,
        mark: markNow,
        policy: policy?.file ?? null,
      }),
    )
  }
  if (run !== null) return <ProtectProgress model={model} run={run} onAgain={() => setRun(null)} />
  return (
    <Page
      title={`Protect ${summary.name}`}
      subtitle="Signed, sealed for chosen devices, verified and measured"
    >
      <ol className="sw-steps">
        <StepPanel number={1} title="Model">
          <div className="sw-columns">
            <Facts
              rows={[
                ["File", summary.name],
                ["Size", `${bytesText(summary.bytes)}, ${countText(summary.parameters)} parameters`],
              ]}
            />
            <TestData file={model.file} />
          </div>
        </StepPanel>
        <StepPanel number={2} title="Devices">
          <DeviceChoice
            devices={devices}
            chosen={chosen}
            onChoose={setChosen}
            mode={mode}
            onMode={setMode}
            modelBytes={summary.bytes}
          />
        </StepPanel>
        <StepPanel number={3} title="Protect" isWaiting={!isReady}>
          <div className="sw-columns">
            <Facts
              rows={[
                ["Marked", <MarkFields key="mark" model={model} value={markNow} onChange={setMark} />],
                ["Encrypted to", isReady ? plural(chosen.length, "device") : "choose a device first"],
                [
                  "Signed with",
                  <SigningKey key="key" keys={signingKeys} value={signingKey} onChange={setSigningKey} />,
                ],
                [
                  "Allowed",
                  <ChooseFile
                    accept=".json"
                    key="policy"
                    what="policy"
                    none="everything, without limits"
                    value={policy}
                    onChange={setPolicy}
                  />,
                ],
                ["Measured on", model.data?.name ?? "random inputs (no accuracy)"],
                ["Written to", `${summary.name.replace(/\.(onnx|ort)$/i, "")}.seal`],
              ]}
            />
            <div className="sw-go">
              <Button
                size="md"
                leftSection={<IconShieldLock size={18} aria-hidden />}
                onClick={start}
                disabled={!isReady}
                autoFocus
              >
                Protect
              </Button>
              <Text size="xs" c="dimmed">
                The package appears only when it is complete.
              </Text>
            </div>
          </div>
        </StepPanel>
      </ol>
    </Page>
  )
}

function StepPanel({
  number,
  title,
  isWaiting = false,
  children,
}: {
  readonly number: number
  readonly title: string
  readonly isWaiting?: boolean
  readonly children: ReactNode
}) {
  return (
    <li className="sw-panel" data-waiting={isWaiting || undefined}>
      <h2>
        <span className="sw-number" aria-hidden>
          {number}
        </span>
        {title}
      </h2>
      {children}
    </li>
  )
}

function SigningKey({
  keys,
  value,
  onChange,
}: {
  readonly keys: readonly Key[]
  readonly value: string | null
  readonly onChange: (name: string | null) => void
}) {
  if (keys.length === 0) return "a new key, made for this workspace (software only)"
  return (
    <Select
      aria-label="Signing key"
      data={keys.map(({ name, assurance }) => ({ value: name, label: `${name} (${assurance})` }))}
      value={value}
      onChange={onChange}
      w={240}
    />
  )
}

function NoModel() {
  return (
    <Page title="Protect">
      <Empty
        icon={<IconShieldLock size={36} stroke={1.4} aria-hidden />}
        title="Choose a model first"
        action={<Button onClick={() => go("models")}>Go to Models</Button>}
      >
        Protect starts from a model: open one and press Protect…
      </Empty>
    </Page>
  )
}

/** Never asked for: the query is off without a file. */
const NO_FILE = "00000000" as FileRef
