/** Every action by name: Ctrl K. */
import { useMantineColorScheme } from "@mantine/core"
import { Spotlight, type SpotlightActionData } from "@mantine/spotlight"
import { IconSearch } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import { chooseFiles } from "../api/choose.ts"
import { bringIn, openSample, takeFiles } from "../api/intake.ts"
import { openModels } from "../api/open-models.ts"
import { queries } from "../api/queries.ts"
import { go, goToNamed, type Route } from "../api/router.ts"
import { useStore } from "../api/store.ts"
import { takeSuspect } from "../api/suspect.ts"
import { showFailure } from "../ui/confirm.tsx"
import { openPush } from "../ui/push-package.tsx"

export function Palette({ route }: { readonly route: Route }) {
  const [isOpen, setIsOpen] = useState(false)
  const actions = useActions(route, isOpen)
  return (
    <Spotlight
      actions={actions}
      onSpotlightOpen={() => setIsOpen(true)}
      onSpotlightClose={() => setIsOpen(false)}
      shortcut="mod + K"
      // Also where the focus is in a field: the way out of it is the same everywhere.
      tagsToIgnore={[]}
      nothingFound="No action of that name"
      limit={12}
      lockScroll={false}
      attributes={{ content: { "aria-label": "Actions" } }}
      styles={{ actionDescription: { opacity: 1 } }}
      transitionProps={{ duration: 80 }}
      searchProps={{
        leftSection: <IconSearch size={16} aria-hidden />,
        placeholder: "What do you want to do?",
        "aria-label": "Search actions",
      }}
    />
  )
}

/** Hundreds in a full workspace, so they are made when the palette opens and not whenever something changes. */
function useActions(route: Route, isOpen: boolean): SpotlightActionData[] {
  const { toggleColorScheme } = useMantineColorScheme()
  const models = useStore(openModels)
  const trust = useQuery(queries.trust).data
  const hasTrust = trust !== undefined && trust.roots !== null
  const releases = useQuery({ ...queries.releases, enabled: hasTrust }).data ?? []
  const packages = useQuery(queries.packages).data ?? []
  const act = (id: string, label: string, onClick: () => void, description = ""): SpotlightActionData => ({
    id,
    label,
    description,
    onClick,
  })
  if (!isOpen) return []
  return [
    act("open", "Open a file…", () => void chooseFiles().then(async (files) => takeFiles(files, route))),
    act("sample", "Use the sample model", () => void openSample().catch(showFailure)),
    ...models.map(({ file, name }) => act(`protect-${file}`, `Protect ${name}…`, () => go("protect", file))),
    ...models.map(({ file, name }) => act(`model-${file}`, name, () => go("models", file), "Model")),
    ...packages
      .slice(0, 200)
      .map(({ file, name }) => act(`package-${file}`, name, () => go("packages", file), "Package: verify")),
    act("models", "Models", () => go("models"), "Go to"),
    act("packages", "Packages", () => go("packages"), "Go to"),
    act("devices", "Devices", () => go("devices"), "Go to"),
    act("validate", "Validate a package", () => go("validate"), "Go to"),
    act(
      "enrol",
      "Enrol a device…",
      () => void chooseFiles().then(async (files) => takeFiles(files, route)),
      "Choose a request, challenge, response or certificates",
    ),
    act("releases", "Releases", () => go("releases"), "Go to"),
    ...releases
      .toReversed()
      .slice(0, 200)
      .map(({ name }) => act(`release-${name}`, name, () => goToNamed("releases", name), "Release")),
    ...(hasTrust ? [act("release-new", "New release…", () => void newRelease())] : []),
    act("registry", "Registry", () => go("registry"), "Go to"),
    act("registry-add", "Connect to a registry…", () => void connectRegistry()),
    act("registry-pull", "Pull a package…", () => void pullPackage()),
    ...packages
      .slice(0, 200)
      .map(({ file, name }) => act(`push-${file}`, `Push ${name}…`, () => openPush(file, name))),
    act("trace", "Trace a suspect", () => go("trace"), "Go to"),
    act("trace-choose", "Choose a suspect to trace…", () => {
      go("trace")
      void chooseFiles().then(async (files) => bringIn(files, takeSuspect))
    }),
    act("activity", "Activity", () => go("activity"), "Go to"),
    act("doctor", "Doctor", () => go("doctor"), "Go to"),
    act("scheme", "Switch between light and dark", toggleColorScheme),
  ]
}

// Dialogs of screens come with their screens, not with the window.

async function newRelease(): Promise<void> {
  const { openNewRelease } = await import("../features/releases/new-release.tsx")
  openNewRelease()
}

async function connectRegistry(): Promise<void> {
  const { openAddConnection } = await import("../features/registry/add-connection.tsx")
  openAddConnection()
}

async function pullPackage(): Promise<void> {
  const { openPull } = await import("../features/registry/pull-package.tsx")
  openPull()
}
