/** Signing what another desk asks for: first what it says, then with which key. The answer goes back as a file. */
import { Select, Text } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import type { Release } from "../../../main/contract/schema/release.ts"
import type { Pending } from "../../../main/contract/schema/trust.ts"
import { chooseFiles } from "../../api/choose.ts"
import { connection } from "../../api/connection.ts"
import { toFailure } from "../../api/failure.ts"
import { fetchFile, type SentFile } from "../../api/files.ts"
import { bringIn } from "../../api/intake.ts"
import { queries } from "../../api/queries.ts"
import { showFailure } from "../../ui/confirm.tsx"
import { Digest } from "../../ui/digest.tsx"
import { DialogForm, openDialog } from "../../ui/form-dialog.tsx"
import { AssuranceBadge } from "../../ui/state.tsx"
import { Changes } from "./changes.tsx"
import { DocumentWords } from "./document-words.tsx"

/** What a request file asks for. */
type Asked =
  | { readonly kind: "documents"; readonly pending: Pending }
  | { readonly kind: "approval"; readonly release: Release }

export function openSignRequest(): void {
  const look = async () =>
    bringIn(await chooseFiles(".json"), async ([file]) => {
      if (file === undefined) return
      const asked = await lookAt(file)
      openDialog(
        asked.kind === "approval"
          ? `Approve ${asked.release.name} for another desk`
          : `Sign for another desk: ${asked.pending.title}`,
        (close) => <SignRequest file={file} asked={asked} onClose={close} />,
        "xl",
      )
    })
  look().catch(showFailure)
}

async function lookAt({ file }: SentFile): Promise<Asked> {
  const { client } = connection
  try {
    return { kind: "documents", pending: await client.trust.look({ request: file }) }
  } catch (error) {
    if (toFailure(error).code !== "REQUEST_MALFORMED") throw error
    return { kind: "approval", release: await client.release.lookAtApproval({ request: file }) }
  }
}

interface Props {
  readonly file: SentFile
  readonly asked: Asked
  readonly onClose: () => void
}

function SignRequest({ file, asked, onClose }: Props) {
  const keys = (useQuery(queries.keys).data ?? []).filter(
    ({ purpose, algorithm }) => purpose === "signing" && algorithm === "P-256",
  )
  const [chosen, setChosen] = useState<string | null>(null)
  const key = keys.find(({ name }) => name === chosen) ?? keys[0]
  const sign = async () => {
    if (key !== undefined) await fetchFile(await answer(file.file, asked, key.name), "save")
  }
  return (
    <DialogForm verb="Sign and save the answer" isReady={key !== undefined} act={sign} onClose={onClose}>
      {asked.kind === "documents" ? (
        <DocumentWords documents={asked.pending.documents} />
      ) : (
        <>
          <Text size="sm">
            The other desk says this of {asked.release.name}; you sign its list of packages,{" "}
            <Digest value={asked.release.digest} label="digest of the release" />
          </Text>
          <Changes release={asked.release} />
        </>
      )}
      <Select
        label="Key"
        placeholder="This workspace has no signing key"
        data={keys.map(({ name }) => name)}
        value={key?.name ?? null}
        onChange={setChosen}
        data-autofocus
      />
      {key !== undefined && (
        <div className="sw-line">
          <AssuranceBadge level={key.assurance} />
          <Text span size="xs" c="dimmed">
            Whether this key is asked for is told when it signs.
          </Text>
        </div>
      )}
    </DialogForm>
  )
}

/** Only what was looked at is signed. */
async function answer(request: FileRef, asked: Asked, key: string): Promise<FileRef> {
  const { client } = connection
  const place = async (name: string) => {
    const { file } = await client.shell.newOutput({ name, kind: "exchange", from: null })
    return { file, replace: false }
  }
  if (asked.kind === "approval") {
    const { name, digest } = asked.release
    const output = await place(`${name}.approval.json`)
    await client.release.signApproval({ request, key, digest, output })
    return output.file
  }
  const output = await place("signatures.answer.json")
  const seen = asked.pending.documents.map(({ fingerprint }) => fingerprint)
  await client.trust.sign({ request, key, output, seen })
  return output.file
}
