import { readFileSync } from "node:fs"
import path from "node:path"

/** Main folder of the installation: where package.json lies. */
const ROOT = path.resolve(import.meta.dirname, "..", "..")

export function productVersion(): string {
  // Our own package.json, whose version is a string.
  const { version } = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")) as {
    readonly version: string
  }
  return version
}
