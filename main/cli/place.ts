/** Where a package lies, as people write it on the command line. */
import { AppError } from "../contract/errors.ts"
import type { Place, RegistryHost } from "../contract/schema/registry.ts"
import type { Context } from "./context.ts"

export interface PlaceOptions {
  readonly plainHttp?: boolean
  readonly ca?: string
}

/** `HOST[:PORT]/NAME[:TAG][@DIGEST]` or `oci:FOLDER[:TAG]`; `reference` is null when none is given. */
export async function parsePlace(
  context: Context,
  text: string,
  options: PlaceOptions,
): Promise<{ readonly place: Place; readonly reference: string | null }> {
  if (text.startsWith("oci:")) {
    // A tag holds no slash, so a drive letter or a port in a path is not taken for one.
    const [, folder = "", tag = null] = /^oci:(.+?)(?::([\w][\w.-]*))?$/.exec(text) ?? []
    if (folder === "") throw new AppError("REGISTRY_REFERENCE_INVALID", "oci: needs a folder")
    return { place: { kind: "folder", folder: await context.file(folder) }, reference: tag }
  }
  const [, repository = text, tag = null, digest = null] =
    /^([^@]*?)(?::([^:/@]+))?(?:@(.+))?$/.exec(text) ?? []
  const place = {
    kind: "remote",
    repository,
    plainHttp: options.plainHttp === true,
    authority: await context.optionalFile(options.ca),
  } as const
  return { place, reference: digest ?? tag }
}

export async function parseHost(
  context: Context,
  host: string,
  options: PlaceOptions,
): Promise<RegistryHost> {
  const authority = await context.optionalFile(options.ca)
  return { host, plainHttp: options.plainHttp === true, authority }
}

export function checkReference(reference: string | null, text: string): string {
  if (reference === null)
    throw new AppError("REGISTRY_REFERENCE_INVALID", `${text.slice(0, 100)} names no tag`)
  return reference
}
