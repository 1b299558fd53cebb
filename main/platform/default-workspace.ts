import os from "node:os"
import path from "node:path"

/** The folder of keys, devices and trust unless somebody names another: SEALWRIGHT_HOME, or the user's data folder. */
export function defaultWorkspace(): string {
  const { SEALWRIGHT_HOME: home, XDG_DATA_HOME: data, LOCALAPPDATA: local } = process.env
  if (home !== undefined && home !== "") return home
  if (process.platform === "win32" && local !== undefined) return path.join(local, "Sealwright")
  return path.join(
    data !== undefined && path.isAbsolute(data) ? data : path.join(os.homedir(), ".local", "share"),
    "sealwright",
  )
}
