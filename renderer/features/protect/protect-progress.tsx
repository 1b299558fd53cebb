import { Button } from "@mantine/core"
import type { OpenModel } from "../../api/open-models.ts"
import { useStore, type Store } from "../../api/store.ts"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Page } from "../../ui/page.tsx"
import { StepBar } from "../../ui/step-bar.tsx"
import { ResultCard } from "./result-card.tsx"
import type { ProtectRun } from "./protect-run.ts"

export function ProtectProgress({
  model,
  run,
  onAgain,
}: {
  readonly model: OpenModel
  readonly run: Store<ProtectRun>
  readonly onAgain: () => void
}) {
  const { steps, outcome, failure, cancel } = useStore(run)
  const isRunning = outcome === null && failure === null
  const isRefused = outcome !== null && outcome.verdict.verdict === "refused"
  const title = isRunning
    ? `Protecting ${model.name}`
    : failure === null && !isRefused
      ? `${model.name} is protected`
      : `${model.name} was not protected`
  return (
    <Page
      title={title}
      actions={
        isRunning ? (
          <Button variant="default" onClick={cancel}>
            Cancel
          </Button>
        ) : (
          <Button variant="default" onClick={onAgain}>
            {failure === null ? "Protect again" : "Back to the steps"}
          </Button>
        )
      }
    >
      {outcome !== null && <ResultCard outcome={outcome} />}
      {failure !== null && <FailureNotice failure={failure} onRetry={onAgain} />}
      <div className="sw-panel" role="group" aria-label="Steps" aria-busy={isRunning}>
        {steps.map((step) => (
          <StepBar key={step.id} step={step} />
        ))}
      </div>
    </Page>
  )
}
