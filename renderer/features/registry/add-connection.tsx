import { Checkbox, Text, TextInput } from "@mantine/core"
import { useState } from "react"
import { connection } from "../../api/connection.ts"
import { refresh } from "../../api/queries.ts"
import { ChooseFile, type ChosenFile } from "../../ui/choose-file.tsx"
import { DialogForm, openDialog } from "../../ui/form-dialog.tsx"

export function openAddConnection(): void {
  openDialog("Connect to a registry", (close) => <AddConnection onClose={close} />)
}

/** Nothing is kept until the registry has answered, as somebody it lets in. */
function AddConnection({ onClose }: { readonly onClose: () => void }) {
  const [host, setHost] = useState("")
  const [username, setUsername] = useState("")
  const [plainHttp, setPlainHttp] = useState(false)
  const [authority, setAuthority] = useState<ChosenFile | null>(null)
  const add = async () => {
    const { registry } = connection.client
    const wanted = { host: host.trim(), plainHttp, authority: plainHttp ? null : (authority?.file ?? null) }
    if (username.trim() === "") await registry.check(wanted)
    else await registry.login({ ...wanted, username: username.trim() })
    await registry.connections.add(wanted)
    await refresh("connections")
  }
  return (
    <DialogForm verb="Connect" isReady={host.trim() !== ""} act={add} onClose={onClose}>
      <TextInput
        label="Address"
        description="HOST or HOST:PORT"
        placeholder="registry.example"
        value={host}
        onChange={(event) => setHost(event.currentTarget.value)}
        maxLength={255}
        spellCheck={false}
        required
        data-autofocus
      />
      <TextInput
        label="User name"
        description="Empty for a registry that lets anybody in, or for a login that docker or skopeo has"
        value={username}
        onChange={(event) => setUsername(event.currentTarget.value)}
        maxLength={255}
        autoComplete="off"
        spellCheck={false}
      />
      <Checkbox
        label="Without TLS: whoever is on the way sees the password"
        checked={plainHttp}
        onChange={(event) => setPlainHttp(event.currentTarget.checked)}
      />
      {!plainHttp && (
        <div>
          <Text size="sm">Certificate authority</Text>
          <ChooseFile
            what="certificates"
            accept=".pem,.crt,.cer"
            none="those this computer trusts"
            value={authority}
            onChange={setAuthority}
          />
        </div>
      )}
      <Text size="xs" c="dimmed">
        The password is asked for next. It is kept where docker and skopeo keep theirs.
      </Text>
    </DialogForm>
  )
}
