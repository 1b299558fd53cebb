/** The parts both ends of an enrolment are made of: a numbered step, a file that comes in, a file that goes out. */
import { Button, Text } from "@mantine/core"
import { IconDownload, IconFolderOpen } from "@tabler/icons-react"
import type { ReactNode } from "react"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import { chooseFiles } from "../../api/choose.ts"
import { connection } from "../../api/connection.ts"
import { fetchFile, type SentFile } from "../../api/files.ts"
import { bringIn } from "../../api/intake.ts"
import { showFailure } from "../../ui/confirm.tsx"
import { StateIcon } from "../../ui/state.tsx"

export type StepState = "waiting" | "now" | "done"

export function ExchangeStep({
  number,
  title,
  state,
  children,
}: {
  readonly number: number
  readonly title: string
  readonly state: StepState
  readonly children?: ReactNode
}) {
  return (
    <li className="sw-exchange" data-state={state} aria-current={state === "now" ? "step" : undefined}>
      {state === "done" ? (
        <StateIcon state="verified" size={22} />
      ) : (
        <span className="sw-number" aria-hidden>
          {number}
        </span>
      )}
      <div>
        <Text fw={600} size="sm">
          {title}
        </Text>
        {children}
      </div>
    </li>
  )
}

export function ChooseExchange({
  label,
  onFile,
}: {
  readonly label: string
  readonly onFile: (file: SentFile) => void
}) {
  const choose = async () =>
    bringIn(await chooseFiles(), ([first]) => {
      if (first !== undefined) onFile(first)
    })
  return (
    <Button
      leftSection={<IconFolderOpen size={16} aria-hidden />}
      onClick={() => void choose().catch(showFailure)}
    >
      {label}
    </Button>
  )
}

export interface MadeFile {
  readonly file: FileRef
  readonly name: string
}

export function SaveExchange({ made, what }: { readonly made: MadeFile; readonly what: string }) {
  return (
    <Button
      variant="default"
      leftSection={<IconDownload size={16} aria-hidden />}
      onClick={() => void fetchFile(made.file, "save").catch(showFailure)}
    >
      Save {what}
    </Button>
  )
}

/** A place for the file that answers `from`: same name, another ending. */
export async function answerPlace(from: string, ending: string, beside: FileRef | null): Promise<MadeFile> {
  const stem = from.replace(/\.[a-z]+$/i, "")
  return connection.client.shell.newOutput({ name: `${stem}.${ending}`, kind: "exchange", from: beside })
}
