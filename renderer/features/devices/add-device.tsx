import { Modal, SegmentedControl, Text, Textarea, TextInput } from "@mantine/core"
import { useState } from "react"
import { connection } from "../../api/connection.ts"
import { refresh } from "../../api/queries.ts"
import { DialogForm } from "../../ui/form-dialog.tsx"

type Kind = "recipient" | "software"

export function AddDevice({ isOpen, onClose }: { readonly isOpen: boolean; readonly onClose: () => void }) {
  return (
    <Modal opened={isOpen} onClose={onClose} title="Add device" closeButtonProps={{ "aria-label": "Close" }}>
      <AddDeviceForm onClose={onClose} />
    </Modal>
  )
}

function AddDeviceForm({ onClose }: { readonly onClose: () => void }) {
  const [kind, setKind] = useState<Kind>("recipient")
  const [name, setName] = useState("")
  const [recipient, setRecipient] = useState("")
  const add = async () => {
    await connection.client.devices.add({
      name: name.trim(),
      key: kind === "recipient" ? { kind, recipient: recipient.trim() } : { kind },
    })
    await refresh("devices", "keys")
  }
  return (
    <DialogForm verb="Add device" act={add} onClose={onClose}>
      <SegmentedControl
        aria-label="Kind of key"
        value={kind}
        onChange={(value) => setKind(value === "software" ? "software" : "recipient")}
        data={[
          { value: "recipient", label: "By its public key" },
          { value: "software", label: "Software key on this computer" },
        ]}
      />
      <Text size="sm" c="dimmed">
        {kind === "recipient"
          ? "The private key stays on the device. Print its public key there with `sealwright keys show`."
          : "For trying things out: the private key becomes a file of this workspace, readable by you."}
      </Text>
      <TextInput
        label="Name"
        placeholder="press-07"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        maxLength={64}
        required
        data-autofocus
      />
      {kind === "recipient" && (
        <Textarea
          label="Public key"
          placeholder="age1…"
          value={recipient}
          onChange={(event) => setRecipient(event.currentTarget.value)}
          autosize
          minRows={2}
          maxRows={5}
          required
          spellCheck={false}
        />
      )}
    </DialogForm>
  )
}
