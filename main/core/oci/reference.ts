/** Names in registries (OCI distribution-spec 1.1, "Pulling manifests"): repositories, tags and digests. */
import { AppError } from "../../contract/errors.ts"
import type { Digest } from "./manifest.ts"

/** Where a manifest is. Without tag or digest only the repository is meant. */
export interface Reference {
  /** `HOST[:PORT]`; an IPv6 address stands in brackets. */
  readonly host: string
  /** Path of the repository on that host. */
  readonly path: string
  readonly tag: string | null
  readonly digest: Digest | null
}

const HOST =
  /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/i
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const TAG = /^\w[\w.-]{0,127}$/
const DIGEST = /^sha256:[0-9a-f]{64}$/

/** `HOST[:PORT]/NAME[:TAG][@sha256:…]`. Throws REGISTRY_REFERENCE_INVALID. */
export function parseReference(text: string): Reference {
  const at = text.indexOf("@")
  const digest = at < 0 ? null : text.slice(at + 1)
  const named = at < 0 ? text : text.slice(0, at)
  const slash = named.indexOf("/")
  const colon = named.indexOf(":", slash)
  const host = named.slice(0, Math.max(0, slash))
  const path = named.slice(slash + 1, colon < 0 ? undefined : colon)
  const tag = colon < 0 ? null : named.slice(colon + 1)
  const isValid =
    slash > 0 &&
    HOST.test(host) &&
    PATH.test(path) &&
    path.length <= 255 &&
    (tag === null || TAG.test(tag)) &&
    (digest === null || isDigest(digest))
  if (!isValid) throw invalid(`${JSON.stringify(text.slice(0, 200))} does not name a place in a registry`)
  return { host, path, tag, digest }
}

export function isDigest(text: string): boolean {
  return DIGEST.test(text)
}

export function checkDigest(text: string): void {
  if (!isDigest(text)) throw invalid(`${JSON.stringify(text.slice(0, 80))} is not a sha256 digest`)
}

export function checkTag(tag: string): void {
  if (!TAG.test(tag)) throw invalid(`${JSON.stringify(tag.slice(0, 140))} cannot be a tag`)
}

function invalid(message: string): AppError {
  return new AppError("REGISTRY_REFERENCE_INVALID", message)
}
