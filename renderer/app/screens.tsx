/** The screens. All but the first come as scripts of their own, fetched when the window has nothing else to do. */
import { lazy, Suspense, useState, type ComponentType } from "react"
import type { Route } from "../api/router.ts"
import { ModelsScreen } from "../features/models/models-screen.tsx"

interface Late<P> {
  readonly Screen: ComponentType<P>
  readonly load: () => Promise<unknown>
}

/** What is loaded already is drawn at once; React's own `lazy` would show an empty screen first. */
function late<P extends object>(fetch: () => Promise<ComponentType<P>>): Late<P> {
  let loaded: ComponentType<P> | null = null
  const load = async () => (loaded ??= await fetch())
  const Waiting = lazy(async () => ({ default: await load() }))
  function Screen(props: P) {
    // Settled for as long as it is shown: another component would lose what was typed.
    const [Shown] = useState<ComponentType<P>>(() => loaded ?? Waiting)
    return (
      <Suspense fallback={<div className="sw-page" aria-busy="true" />}>
        <Shown {...props} />
      </Suspense>
    )
  }
  return { Screen, load }
}

const Protect = late(async () => (await import("../features/protect/protect-screen.tsx")).ProtectScreen)
const Packages = late(async () => (await import("../features/packages/packages-screen.tsx")).PackagesScreen)
const Devices = late(async () => (await import("../features/devices/devices-screen.tsx")).DevicesScreen)
const Validate = late(async () => (await import("../features/validate/validate-screen.tsx")).ValidateScreen)
const Releases = late(async () => (await import("../features/releases/releases-screen.tsx")).ReleasesScreen)
const Registry = late(async () => (await import("../features/registry/registry-screen.tsx")).RegistryScreen)
const Trace = late(async () => (await import("../features/trace/trace-screen.tsx")).TraceScreen)
const Activity = late(async () => (await import("../features/activity/activity-screen.tsx")).ActivityScreen)
const Doctor = late(async () => (await import("../features/doctor/doctor-screen.tsx")).DoctorScreen)

/** Fetches the other screens. One that cannot be fetched says so when it is opened. */
export async function loadScreens(): Promise<void> {
  const screens = [Packages, Devices, Protect, Releases, Registry, Trace, Validate, Activity, Doctor]
  await Promise.allSettled(screens.map(async ({ load }) => load()))
}

export function ScreenOf({ route: { screen, file, name } }: { readonly route: Route }) {
  switch (screen) {
    case "models":
      return <ModelsScreen file={file} />
    case "protect":
      return <Protect.Screen file={file} />
    case "packages":
      return <Packages.Screen file={file} />
    case "validate":
      return <Validate.Screen file={file} />
    case "devices":
      return <Devices.Screen />
    case "trace":
      return <Trace.Screen />
    case "releases":
      return <Releases.Screen name={name} />
    case "registry":
      return <Registry.Screen />
    case "activity":
      return <Activity.Screen />
    case "doctor":
      return <Doctor.Screen name={name} />
  }
}
