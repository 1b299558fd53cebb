import { Button, Checkbox, Group, Text, TextInput } from "@mantine/core"
import { modals } from "@mantine/modals"
import { useState, type FormEvent } from "react"
import { connection } from "../../api/connection.ts"
import { refresh } from "../../api/queries.ts"
import { FailureNotice } from "../../ui/failure-notice.tsx"

export function openAddConnection(): void {
  const id = modals.open({
    title: "Connect to a registry",
    closeButtonProps: { "aria-label": "Close" },
    children: <AddConnection onClose={() => modals.close(id)} />,
  })
}

/** Nothing is kept until the registry has answered, as somebody it lets in. */
function AddConnection({ onClose }: { readonly onClose: () => void }) {
  const [host, setHost] = useState("")
  const [username, setUsername] = useState("")
  const [plainHttp, setPlainHttp] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const [isBusy, setBusy] = useState(false)
  const add = async () => {
    const { registry } = connection.client
    const wanted = { host: host.trim(), plainHttp }
    setBusy(true)
    setError(null)
    try {
      if (username.trim() === "") await registry.check({ ...wanted, authority: null })
      else await registry.login({ ...wanted, authority: null, username: username.trim() })
      await registry.connections.add(wanted)
      await refresh("connections")
      onClose()
    } catch (failure) {
      setError(failure)
    } finally {
      setBusy(false)
    }
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    void add()
  }
  return (
    <form className="sw-form" onSubmit={submit}>
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
      <Text size="xs" c="dimmed">
        The password is asked for next. It is kept where docker and skopeo keep theirs.
      </Text>
      {error !== null && <FailureNotice error={error} />}
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button type="submit" loading={isBusy} disabled={host.trim() === ""}>
          Connect
        </Button>
      </Group>
    </form>
  )
}
