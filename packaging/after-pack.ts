/** electron-builder's hook when a program is packed: what may not be shipped ends the build. */
import path from "node:path"
import type { AfterPackContext } from "electron-builder"
import { faultsOfResources } from "./release/check-desktop.ts"

export default function afterPack({ appOutDir, packager, electronPlatformName }: AfterPackContext): void {
  const resources =
    electronPlatformName === "darwin"
      ? path.join(appOutDir, `${packager.appInfo.productFilename}.app`, "Contents", "Resources")
      : path.join(appOutDir, "resources")
  const faults = faultsOfResources(resources, path.resolve(import.meta.dirname, ".."))
  if (faults.length > 0) throw new Error(`the program may not be shipped:\n  ${faults.join("\n  ")}`)
}
