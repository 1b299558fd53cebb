/** A key's way to an outside authority and back: a request goes out, a certificate comes home. */
import { Text, TextInput } from "@mantine/core"
import { useState } from "react"
import type { Check } from "../../../main/contract/schema/verify.ts"
import { connection } from "../../api/connection.ts"
import { fetchFile } from "../../api/files.ts"
import { refresh } from "../../api/queries.ts"
import { ChooseFile, type ChosenFile } from "../../ui/choose-file.tsx"
import { DialogForm, openDialog } from "../../ui/form-dialog.tsx"
import { JudgedChecks } from "../../ui/judged-checks.tsx"

export function openRequestCertificate(key: string): void {
  openDialog(`Certificate for ${key}`, (close) => <RequestForm name={key} onClose={close} />)
}

interface FormProps {
  readonly name: string
  readonly onClose: () => void
}

function RequestForm({ name, onClose }: FormProps) {
  const [subject, setSubject] = useState(`CN=${name}`)
  const request = async () => {
    const made = await connection.client.shell.newOutput({
      name: `${name}.csr.pem`,
      kind: "exchange",
      from: null,
    })
    await connection.client.certificates.request({
      key: name,
      subject: subject.trim(),
      output: { file: made.file, replace: false },
    })
    await fetchFile(made.file, "save")
  }
  return (
    <DialogForm verb="Save request" isReady={subject.trim() !== ""} act={request} onClose={onClose}>
      <Text size="sm" c="dimmed">
        The request is signed by the key where it lives. Send it to your authority; what comes back is
        attached here.
      </Text>
      <TextInput
        label="Subject"
        description="As the authority wants it, such as CN=release-1, O=Example"
        value={subject}
        onChange={(event) => setSubject(event.currentTarget.value)}
        maxLength={1024}
        required
        data-autofocus
      />
    </DialogForm>
  )
}

export function openAttachCertificate(key: string): void {
  openDialog(`Attach a certificate to ${key}`, (close) => <AttachForm name={key} onClose={close} />)
}

function AttachForm({ name, onClose }: FormProps) {
  const [file, setFile] = useState<ChosenFile | null>(null)
  const [roots, setRoots] = useState<ChosenFile | null>(null)
  const [refused, setRefused] = useState<readonly Check[] | null>(null)
  /** A verdict is about the files it was made of. */
  const change = (set: (file: ChosenFile | null) => void) => (chosen: ChosenFile | null) => {
    set(chosen)
    setRefused(null)
  }
  const attach = async (): Promise<"stay" | void> => {
    if (file === null) return
    const { judged } = await connection.client.certificates.attach({
      key: name,
      file: file.file,
      roots: roots?.file ?? null,
      lists: [],
      purpose: "code-signing",
    })
    setRefused(judged.verdict === "trusted" ? null : judged.checks)
    if (judged.verdict !== "trusted") return "stay"
    await refresh("keys")
  }
  return (
    <DialogForm verb="Attach" isReady={file !== null} act={attach} onClose={onClose}>
      <div>
        <Text size="sm">What the authority sent, with those above it as far as there are any</Text>
        <ChooseFile
          what="certificate"
          accept=".pem,.crt,.cer"
          none="none yet"
          value={file}
          onChange={change(setFile)}
        />
      </div>
      <div>
        <Text size="sm">Roots it has to lead to</Text>
        <ChooseFile
          what="roots"
          accept=".pem,.crt,.cer"
          none="none: judged as far as the file goes"
          value={roots}
          onChange={change(setRoots)}
        />
      </div>
      {refused !== null && (
        <>
          <Text size="sm">It was refused, and nothing was kept.</Text>
          <JudgedChecks checks={refused} />
        </>
      )}
    </DialogForm>
  )
}
