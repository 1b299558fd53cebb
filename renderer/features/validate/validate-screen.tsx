/** Validate: plain and sealed side by side, as it happens. */
import { Button, Input, Loader, Select } from "@mantine/core"
import { IconChartBar } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import type { Device } from "../../../main/contract/schema/keys.ts"
import type { PackageEntry } from "../../../main/contract/schema/library.ts"
import { openModels } from "../../api/open-models.ts"
import { queries } from "../../api/queries.ts"
import { go } from "../../api/router.ts"
import { useStore, type Store } from "../../api/store.ts"
import { ChooseFile, type ChosenFile } from "../../ui/choose-file.tsx"
import { Empty } from "../../ui/empty.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Page } from "../../ui/page.tsx"
import { TestData } from "../../ui/test-data.tsx"
import { startValidation, type ValidationRun } from "./validation-run.ts"
import { ValidationView } from "./validation-view.tsx"

export function ValidateScreen({ file }: { readonly file: FileRef | null }) {
  const packages = useQuery(queries.packages)
  const devices = useQuery(queries.devices)
  const error = packages.error ?? devices.error
  if (error !== null)
    return (
      <Page title="Validate">
        <FailureNotice
          error={error}
          onRetry={() => void Promise.all([packages.refetch(), devices.refetch()])}
        />
      </Page>
    )
  if (packages.data === undefined || devices.data === undefined)
    return (
      <Page title="Validate">
        <Loader size="sm" aria-label="Reading the workspace" />
      </Page>
    )
  const entry = packages.data.find((each) => each.file === file) ?? packages.data[0]
  if (entry === undefined)
    return (
      <Page title="Validate">
        <Empty
          icon={<IconChartBar size={36} stroke={1.4} aria-hidden />}
          title="Nothing to validate yet"
          action={<Button onClick={() => go("models")}>Go to Models</Button>}
        >
          Validation compares a package with the model it was made from. Protect a model first.
        </Empty>
      </Page>
    )
  return <Choices key={entry.file} entry={entry} packages={packages.data} devices={devices.data} />
}

/** Nobody signs. No key has such a name. */
const NOBODY = "\u0000"

interface ChoicesProps {
  readonly entry: PackageEntry
  readonly packages: readonly PackageEntry[]
  readonly devices: readonly Device[]
}

function Choices({ entry, packages, devices }: ChoicesProps) {
  const models = useStore(openModels)
  const holders = devices.filter(({ holdsKey }) => holdsKey).map(({ name }) => name)
  const [device, setDevice] = useState(
    () => holders.find((name) => entry.devices.includes(name)) ?? holders[0] ?? null,
  )
  const [modelFile, setModelFile] = useState<string | null>(
    () => (models.find(({ name }) => name === entry.model) ?? models[0])?.file ?? null,
  )
  const signers = (useQuery(queries.keys).data ?? []).filter(({ purpose }) => purpose === "signing")
  const [gate, setGate] = useState<ChosenFile | null>(null)
  const [signingKey, setSigningKey] = useState<string>(NOBODY)
  const [run, setRun] = useState<Store<ValidationRun> | null>(null)
  const model = models.find(({ file }) => file === modelFile)
  const start = () => {
    if (model !== undefined && device !== null)
      setRun(
        startValidation({
          entry,
          model,
          device,
          gate: gate?.file ?? null,
          signingKey: signingKey === NOBODY ? null : signingKey,
        }),
      )
  }
  return (
    <Page
      title={`Validate ${entry.name}`}
      subtitle="The same inputs go to the plain model and to the sealed one, call by call"
      actions={
        <Button
          onClick={start}
          disabled={model === undefined || device === null}
          leftSection={<IconChartBar size={16} aria-hidden />}
        >
          {run === null ? "Validate" : "Validate again"}
        </Button>
      }
    >
      <div className="sw-panel sw-choices">
        <Select
          label="Package"
          data={packages.slice(0, 500).map(({ file, name }) => ({ value: file, label: name }))}
          value={entry.file}
          onChange={(value) => go("validate", packages.find(({ file }) => file === value)?.file ?? null)}
          searchable
        />
        <Select
          label="Opened as"
          placeholder="No device has its key here"
          data={holders.slice(0, 500)}
          value={device}
          onChange={setDevice}
          searchable
        />
        <Select
          label="Compared with"
          placeholder="Open the model first"
          data={models.map(({ file, name }) => ({ value: file, label: name }))}
          value={modelFile}
          onChange={setModelFile}
        />
        <Select
          label="Sign the result into the package"
          data={[
            { value: NOBODY, label: "no" },
            ...signers.map(({ name, assurance }) => ({ value: name, label: `with ${name} (${assurance})` })),
          ]}
          value={signingKey}
          onChange={(value) => setSigningKey(value ?? NOBODY)}
        />
        <Input.Wrapper label="Limits it has to keep" labelElement="div" size="xs">
          <ChooseFile what="gate" accept=".json" none="identical outputs" value={gate} onChange={setGate} />
        </Input.Wrapper>
        {model !== undefined && <TestData file={model.file} />}
      </div>
      {run !== null && <ValidationView run={run} />}
    </Page>
  )
}
