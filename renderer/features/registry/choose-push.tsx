import { Button, Group, Select, Text } from "@mantine/core"
import { modals } from "@mantine/modals"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import { queries } from "../../api/queries.ts"
import { go } from "../../api/router.ts"
import { openPush } from "../../ui/push-package.tsx"

export function openChoosePush(): void {
  const id = modals.open({
    title: "Push a package",
    closeButtonProps: { "aria-label": "Close" },
    children: <ChoosePackage onClose={() => modals.close(id)} />,
  })
}

function ChoosePackage({ onClose }: { readonly onClose: () => void }) {
  const packages = useQuery(queries.packages).data ?? []
  const [file, setFile] = useState<string | null>(null)
  const chosen = packages.find((each) => each.file === file) ?? packages[0]
  if (chosen === undefined)
    return (
      <div className="sw-form">
        <Text size="sm">There is no package yet. Protect a model first.</Text>
        <Group justify="flex-end">
          <Button
            data-autofocus
            onClick={() => {
              onClose()
              go("models")
            }}
          >
            Go to Models
          </Button>
        </Group>
      </div>
    )
  return (
    <form
      className="sw-form"
      onSubmit={(event) => {
        event.preventDefault()
        onClose()
        openPush(chosen.file, chosen.name)
      }}
    >
      <Select
        label="Package"
        data={packages.slice(0, 500).map(({ file, name }) => ({ value: file, label: name }))}
        value={chosen.file}
        onChange={setFile}
        searchable
      />
      <Group justify="flex-end">
        <Button type="submit" data-autofocus>
          Next
        </Button>
      </Group>
    </form>
  )
}
