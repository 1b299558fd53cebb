/** The whole window takes files. While some are on their way, this says so and offers to stop. */
import { Button, Paper, Progress as ProgressBar, Text } from "@mantine/core"
import { Dropzone } from "@mantine/dropzone"
import { IconFileDownload } from "@tabler/icons-react"
import { dismissIntake, intake, takeFiles } from "../api/intake.ts"
import { desktop } from "../api/desktop.ts"
import type { Route } from "../api/router.ts"
import { useStore } from "../api/store.ts"
import { FailureNotice } from "../ui/failure-notice.tsx"
import { bytesText } from "../ui/units.ts"

export function DropLayer({ route }: { readonly route: Route }) {
  return (
    <>
      <Dropzone.FullScreen
        active
        onDrop={(files: File[]) => void takeFiles(files, route)}
        {...(desktop === null ? {} : { getFilesFromEvent: droppedFiles })}
        className="sw-drop"
        zIndex={400}
      >
        <div className="sw-drop-inner">
          <IconFileDownload size={40} aria-hidden />
          <Text fw={600}>
            {route.screen === "trace"
              ? "Drop it: the model becomes the suspect"
              : "Drop it: a model opens in Models, a package in Packages, .npy arrays become test data"}
          </Text>
        </div>
      </Dropzone.FullScreen>
      <Arriving />
    </>
  )
}

/** The system's own file objects: only of those can the shell tell where they lie. While they hover there are none yet. */
async function droppedFiles(event: unknown): Promise<(File | DataTransferItem)[]> {
  const { type, dataTransfer } = event as Partial<DragEvent> // what a drop zone is given
  return [...((type === "drop" ? dataTransfer?.files : dataTransfer?.items) ?? [])]
}

function Arriving() {
  const now = useStore(intake)
  if (now === null) return null
  return (
    <Paper className="sw-arriving" withBorder shadow="md" role="status" aria-live="polite">
      {now.failure === null ? (
        <>
          <Text size="sm" fw={600} className="sw-ellipsis">
            {now.sent < now.bytes ? `Bringing in ${now.name}` : `Reading ${now.name}`}
          </Text>
          <ProgressBar
            value={now.bytes === 0 ? 100 : (now.sent / now.bytes) * 100}
            size="sm"
            my={6}
            aria-label="Upload"
          />
          <div className="sw-arriving-foot">
            <Text size="xs" c="dimmed" className="sw-numbers">
              {bytesText(now.sent)} of {bytesText(now.bytes)}
            </Text>
            <Button size="compact-xs" variant="default" onClick={now.cancel}>
              Stop
            </Button>
          </div>
        </>
      ) : (
        <>
          <Text size="sm" fw={600} className="sw-ellipsis" mb={6}>
            {now.name}
          </Text>
          <FailureNotice failure={now.failure} />
          <div className="sw-arriving-foot">
            <span />
            <Button size="compact-xs" variant="default" onClick={dismissIntake}>
              Close
            </Button>
          </div>
        </>
      )}
    </Paper>
  )
}
