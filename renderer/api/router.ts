/** Where the window is: the fragment of the address, so that back, forward and reload work. */
import { useMemo, useSyncExternalStore } from "react"
import { fileRefSchema, type FileRef } from "../../main/contract/schema/base.ts"

const SCREENS = [
  "models",
  "packages",
  "devices",
  "releases",
  "registry",
  "trace",
  "protect",
  "validate",
  "activity",
  "doctor",
] as const
export type Screen = (typeof SCREENS)[number]

export interface Route {
  readonly screen: Screen
  /** The thing that is open, if it is a file. */
  readonly file: FileRef | null
  /** The thing that is open, if people named it. */
  readonly name: string | null
}

/** Told at once where we go ourselves: the browser's own event comes a frame later. */
const followers = new Set<() => void>()

export function useRoute(): Route {
  const hash = useSyncExternalStore(
    (listener) => {
      window.addEventListener("hashchange", listener)
      followers.add(listener)
      return () => {
        window.removeEventListener("hashchange", listener)
        followers.delete(listener)
      }
    },
    () => location.hash,
  )
  return useMemo(() => parseRoute(hash), [hash])
}

export function currentRoute(): Route {
  return parseRoute(location.hash)
}

export function go(screen: Screen, file: FileRef | null = null): void {
  goTo(file === null ? `/${screen}` : `/${screen}/${file}`)
}

/** To a thing that has a name: `null` is the list of them. */
export function goToNamed(screen: "releases" | "doctor", name: string | null): void {
  goTo(name === null ? `/${screen}` : `/${screen}/${encodeURIComponent(name)}`)
}

function goTo(hash: string): void {
  location.hash = hash
  for (const follower of followers) follower()
}

function parseRoute(hash: string): Route {
  const [, name, ref] = hash.split("/")
  const screen = SCREENS.find((each) => each === name) ?? "models"
  const file = fileRefSchema.safeParse(ref)
  return { screen, file: file.success ? file.data : null, name: ref === undefined ? null : decoded(ref) }
}

/** An address may be typed by hand. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
