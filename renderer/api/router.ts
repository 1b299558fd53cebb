/** Where the window is: the fragment of the address, so that back, forward and reload work. */
import { useSyncExternalStore } from "react"
import { fileRefSchema, type FileRef } from "../../main/contract/schema/base.ts"

const SCREENS = ["models", "packages", "devices", "protect", "validate", "activity", "doctor"] as const
export type Screen = (typeof SCREENS)[number]

export interface Route {
  readonly screen: Screen
  /** The thing that is open. */
  readonly file: FileRef | null
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(
    (listener) => {
      window.addEventListener("hashchange", listener)
      return () => window.removeEventListener("hashchange", listener)
    },
    () => location.hash,
  )
  return parseRoute(hash)
}

export function currentRoute(): Route {
  return parseRoute(location.hash)
}

export function go(screen: Screen, file: FileRef | null = null): void {
  location.hash = file === null ? `/${screen}` : `/${screen}/${file}`
}

function parseRoute(hash: string): Route {
  const [, name, ref] = hash.split("/")
  const screen = SCREENS.find((each) => each === name) ?? "models"
  const file = fileRefSchema.safeParse(ref)
  return { screen, file: file.success ? file.data : null }
}
