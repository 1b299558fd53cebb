/** The window: nouns on the left, the thing in the middle, the truth at the bottom. */
import { ActionIcon, Kbd, Tooltip, useComputedColorScheme, useMantineColorScheme } from "@mantine/core"
import { spotlight } from "@mantine/spotlight"
import {
  IconActivity,
  IconBox,
  IconCommand,
  IconDeviceDesktop,
  IconMoon,
  IconPackage,
  IconStethoscope,
  IconCloudUpload,
  IconRocket,
  IconZoomQuestion,
  IconSun,
} from "@tabler/icons-react"
import { useDeferredValue, useEffect, useSyncExternalStore } from "react"
import { connection } from "../api/connection.ts"
import { jobs } from "../api/jobs.ts"
import { queries, queryClient } from "../api/queries.ts"
import { go, useRoute, type Route, type Screen } from "../api/router.ts"
import { useStore } from "../api/store.ts"
import { HintLayer } from "../ui/hint.tsx"
import { DropLayer } from "./drop-layer.tsx"
import { Palette } from "./palette.tsx"
import { PromptDialog } from "./prompt-dialog.tsx"
import { loadScreens, ScreenOf } from "./screens.tsx"
import { StatusBar } from "./status-bar.tsx"

interface NavigationItem {
  readonly screen: Screen
  readonly title: string
  readonly icon: typeof IconBox
  /** Screens that belong to it. */
  readonly covers: readonly Screen[]
}

const THINGS: readonly NavigationItem[] = [
  { screen: "models", title: "Models", icon: IconBox, covers: ["models", "protect"] },
  { screen: "packages", title: "Packages", icon: IconPackage, covers: ["packages", "validate"] },
  { screen: "devices", title: "Devices", icon: IconDeviceDesktop, covers: ["devices"] },
  { screen: "releases", title: "Releases", icon: IconRocket, covers: ["releases"] },
  { screen: "registry", title: "Registry", icon: IconCloudUpload, covers: ["registry"] },
  { screen: "trace", title: "Trace", icon: IconZoomQuestion, covers: ["trace"] },
]
const TOOLS: readonly NavigationItem[] = [
  { screen: "activity", title: "Activity", icon: IconActivity, covers: ["activity"] },
  { screen: "doctor", title: "Doctor", icon: IconStethoscope, covers: ["doctor"] },
]

export function Frame() {
  const route = useRoute()
  // The list on the left answers a click at once; the screen follows when it is drawn.
  const shown = useDeferredValue(route)
  const isConnected = useSyncExternalStore(connection.subscribe, () => connection.state) === "open"
  useEffect(() => {
    if (!isConnected) return
    const idle = requestIdleCallback(() => void getReady())
    return () => cancelIdleCallback(idle)
  }, [isConnected])
  return (
    <div className="sw-frame">
      <a href="#main" className="sw-skip" onClick={skipToMain}>
        Skip to content
      </a>
      <nav className="sw-nav" aria-label="Main">
        <div className="sw-brand">
          <img src="./icon.svg" alt="" width={20} height={20} />
          Sealwright
        </div>
        {THINGS.map((item) => (
          <NavigationLink key={item.screen} item={item} route={route} />
        ))}
        <hr />
        {TOOLS.map((item) => (
          <NavigationLink key={item.screen} item={item} route={route} />
        ))}
        <div className="sw-nav-foot">
          <Tooltip
            label={
              <>
                All actions <Kbd size="xs">Ctrl K</Kbd>
              </>
            }
          >
            <ActionIcon
              variant="subtle"
              color="gray"
              onClick={() => spotlight.open()}
              aria-label="All actions"
            >
              <IconCommand size={16} />
            </ActionIcon>
          </Tooltip>
          <SchemeSwitch />
        </div>
      </nav>
      <main className="sw-main" id="main" tabIndex={-1}>
        <ScreenOf key={`${shown.screen}/${shown.file ?? shown.name ?? ""}`} route={shown} />
      </main>
      <StatusBar />
      <DropLayer route={route} />
      <Palette route={route} />
      <PromptDialog />
      <HintLayer />
    </div>
  )
}

/** What the next click most likely shows is here before it. */
async function getReady(): Promise<void> {
  await loadScreens()
  await Promise.all([queryClient.prefetchQuery(queries.packages), queryClient.prefetchQuery(queries.trust)])
}

function NavigationLink({ item, route }: { readonly item: NavigationItem; readonly route: Route }) {
  const running = useStore(jobs).filter(({ state }) => state === "running").length
  const isCurrent = item.covers.includes(route.screen)
  return (
    <a
      href={`#/${item.screen}`}
      className="sw-nav-link"
      aria-current={isCurrent ? "page" : undefined}
      onClick={(event) => {
        event.preventDefault()
        go(item.screen)
      }}
    >
      <item.icon size={16} aria-hidden />
      {item.title}
      {item.screen === "activity" && running > 0 && (
        <span className="sw-count" aria-label={`${running} running`}>
          {running}
        </span>
      )}
    </a>
  )
}

/** The fragment is the route, so the jump is made by hand. */
function skipToMain(event: React.MouseEvent) {
  event.preventDefault()
  document.querySelector<HTMLElement>("#main")?.focus()
}

function SchemeSwitch() {
  const { setColorScheme } = useMantineColorScheme()
  const scheme = useComputedColorScheme("light")
  const other = scheme === "dark" ? "light" : "dark"
  const Icon = scheme === "dark" ? IconSun : IconMoon
  return (
    <Tooltip label={`Switch to ${other}`}>
      <ActionIcon
        variant="subtle"
        color="gray"
        onClick={() => setColorScheme(other)}
        aria-label={`Switch to ${other}`}
      >
        <Icon size={16} />
      </ActionIcon>
    </Tooltip>
  )
}
