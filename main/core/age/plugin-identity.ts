/** The identity text that makes age call our plugin (docs/FORMAT.md 4.3). It names a key and holds no secret. */
import { AppError } from "../../contract/errors.ts"
import { concat, readUtf8, toUtf8 } from "../bytes/bytes.ts"
import { parseBech32, toBech32 } from "./bech32.ts"

export interface PluginIdentity {
  /** Name of a device key. */
  readonly key: string
  /** Folder of the workspace that holds it; `null` means the default one. */
  readonly workspace: string | null
}

const PREFIX = "age-plugin-sealwright-"
const VERSION = 1
/** A name is at most 64 characters, a path what systems allow. */
const MAX_BYTES = 8192

/** `AGE-PLUGIN-SEALWRIGHT-1…`. */
export function pluginIdentityText({ key, workspace }: PluginIdentity): string {
  const name = toUtf8(key)
  return toBech32(
    PREFIX,
    concat(Uint8Array.of(VERSION, name.length), name, toUtf8(workspace ?? "")),
  ).toUpperCase()
}

/** Throws IDENTITY_INVALID. */
export function parsePluginIdentity(text: string): PluginIdentity {
  const decoded = text === text.toUpperCase() ? parseBech32(text) : null
  if (decoded?.prefix !== PREFIX) throw invalid("it is not an identity of this plugin")
  const { bytes } = decoded
  const nameBytes = bytes[1] ?? 0
  if (bytes[0] !== VERSION || nameBytes === 0 || bytes.length < 2 + nameBytes || bytes.length > MAX_BYTES)
    throw invalid("it is of another version, or cut")
  const key = readUtf8(bytes.subarray(2, 2 + nameBytes))
  const workspace = readUtf8(bytes.subarray(2 + nameBytes))
  if (key === null || workspace === null || workspace.includes("\0")) throw invalid("its text is not UTF-8")
  return { key, workspace: workspace === "" ? null : workspace }
}

function invalid(reason: string): AppError {
  return new AppError("IDENTITY_INVALID", `the plugin identity cannot be used: ${reason}`)
}
