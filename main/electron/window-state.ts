/** Where the window was. A file that says nonsense, or a screen that is gone, is answered by the first place. */
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import path from "node:path"
import { app, screen, type BrowserWindow, type Rectangle } from "electron"
import { z } from "zod"

const stateSchema = z.strictObject({
  x: z.int(),
  y: z.int(),
  width: z.int().min(480).max(20_000),
  height: z.int().min(360).max(20_000),
  isMaximised: z.boolean(),
})
export type WindowState = z.infer<typeof stateSchema>

/** How much of the title must be in sight for a window to be found again, pixels. */
const GRASP = 80

/** `null` when there is no place to go back to. */
export function readWindowState(): WindowState | null {
  try {
    const state = stateSchema.parse(JSON.parse(readFileSync(stateFile(), "utf8")))
    const isInSight = screen.getAllDisplays().some(({ workArea }) => overlaps(state, workArea))
    return isInSight ? state : null
  } catch {
    return null
  }
}

/** Failing to remember is nobody's trouble. */
export function keepWindowState(window: BrowserWindow): void {
  const state: WindowState = { ...window.getNormalBounds(), isMaximised: window.isMaximized() }
  const partial = `${stateFile()}.partial`
  try {
    writeFileSync(partial, JSON.stringify(state), { mode: 0o600 })
    renameSync(partial, stateFile())
  } catch {
    // A folder that cannot be written: the next window opens in the first place.
  }
}

function stateFile(): string {
  return path.join(app.getPath("userData"), "window.json")
}

function overlaps(state: WindowState, area: Rectangle): boolean {
  return (
    state.x + state.width >= area.x + GRASP &&
    state.x <= area.x + area.width - GRASP &&
    state.y >= area.y &&
    state.y <= area.y + area.height - GRASP
  )
}
