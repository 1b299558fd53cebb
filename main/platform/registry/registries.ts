/** Repositories by place: folders now, whatever speaks the distribution protocol otherwise. */
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import type { Registries } from "../../services/ports/registry.ts"
import { LayoutFolder } from "./layout-folder.ts"

export function registries(pathOf: (file: FileRef) => string): Registries {
  return {
    open(place, signal) {
      if (place.kind === "folder") return new LayoutFolder(pathOf(place.folder), signal)
      throw new AppError("REGISTRY_UNSUPPORTED", "this version reaches folders only")
    },
  }
}
