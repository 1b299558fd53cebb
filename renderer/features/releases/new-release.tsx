import { MultiSelect, TagsInput, TextInput } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import { connection } from "../../api/connection.ts"
import { runJob } from "../../api/jobs.ts"
import { queries, refresh } from "../../api/queries.ts"
import { goToNamed } from "../../api/router.ts"
import { DialogForm, openDialog } from "../../ui/form-dialog.tsx"

export function openNewRelease(): void {
  openDialog("New release", (close) => <NewRelease onClose={close} />)
}

function NewRelease({ onClose }: { readonly onClose: () => void }) {
  const packages = useQuery(queries.packages).data ?? []
  const [name, setName] = useState("")
  const [chosen, setChosen] = useState<readonly string[]>([])
  const [hardware, setHardware] = useState<readonly string[]>([])
  const files = packages.filter(({ file }) => chosen.includes(file)).map(({ file }) => file)
  const create = async () => {
    const { name: made } = await runJob(`Make release ${name.trim()}`, async (options) =>
      connection.client.release.create(
        { name: name.trim(), packages: files, hardwareIds: [...hardware] },
        options,
      ),
    )
    await refresh("releases")
    goToNamed("releases", made)
  }
  return (
    <DialogForm
      verb="Make release"
      isReady={name.trim() !== "" && files.length > 0}
      act={create}
      onClose={onClose}
    >
      <TextInput
        label="Name"
        description="A release never changes, so neither does its name"
        placeholder="line-4"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        maxLength={64}
        required
        data-autofocus
      />
      <MultiSelect
        label="Packages"
        placeholder={chosen.length === 0 ? "Choose packages of this workspace" : ""}
        data={packages
          .filter(({ bytes }) => bytes !== null)
          .slice(0, 500)
          .map(({ file, name }) => ({ value: file, label: name }))}
        value={[...chosen]}
        onChange={setChosen}
        searchable
        required
      />
      <TagsInput
        label="Only for hardware"
        description="Kinds of device it is for; empty for any"
        value={[...hardware]}
        onChange={setHardware}
        maxTags={64}
      />
    </DialogForm>
  )
}
