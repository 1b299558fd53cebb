/** Doctor: everything this computer can do, why not where it cannot, and the command that would change it. */
import { Button, SegmentedControl, Text, Title, useMantineColorScheme } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { DoctorCheck } from "../../../main/contract/schema/doctor.ts"
import { queries } from "../../api/queries.ts"
import { ChecksList, type CheckLine } from "../../ui/checks-list.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Page } from "../../ui/page.tsx"
import { SigningKeys } from "./signing-keys.tsx"

/** `name` is the id of a line, when something led to it. */
export function DoctorScreen({ name }: { readonly name: string | null }) {
  const { data, error, refetch, isFetching } = useQuery({ ...queries.doctor, staleTime: 0 })
  return (
    <Page
      title="Doctor"
      subtitle={
        data === undefined ? "Looking…" : `Sealwright ${data.version}, Node ${data.node}, ${data.platform}`
      }
      actions={
        <Button variant="default" onClick={() => void refetch()} loading={isFetching}>
          Look again
        </Button>
      }
    >
      {error !== null && <FailureNotice error={error} onRetry={() => void refetch()} />}
      {data !== undefined && (
        <ChecksList label="Capabilities" checks={data.checks.map(toLine)} pointedAt={name} />
      )}
      <SigningKeys />
      <WindowSettings />
    </Page>
  )
}

const SCHEMES = [
  { value: "auto", label: "As the system" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
] as const

function WindowSettings() {
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  return (
    <section aria-label="Window">
      <Title order={2} size="h5" mt="md" mb="xs">
        Window
      </Title>
      <SegmentedControl
        aria-label="Colours"
        value={colorScheme}
        onChange={(value) => setColorScheme(SCHEMES.find((each) => each.value === value)?.value ?? "auto")}
        data={[...SCHEMES]}
      />
    </section>
  )
}

function toLine({ id, title, result, detail, fix }: DoctorCheck): CheckLine {
  const line: CheckLine = {
    id,
    title,
    state: result === "ok" ? "verified" : result === "limited" ? "attention" : "refused",
    word: result,
    reason: detail,
  }
  if (fix === "") return line
  return {
    ...line,
    evidence: (
      <Text size="sm">
        To change it: <code className="sw-code">{fix}</code>
      </Text>
    ),
  }
}
