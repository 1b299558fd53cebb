/**
 * What is attached to a manifest. A registry with the referrers API keeps the list itself; for one without, the list is an
 * index under the fallback tag that every client reads, changes and writes back (distribution-spec 1.1, "Referrers Tag Schema").
 *
 * No registry we must work with honours a conditional PUT, so two clients that change the index at the same time may undo each
 * other. A writer therefore looks again at what it changed right before it writes, and then comes back, after a wait that is
 * longer than anybody's way from that look to the write and never the same twice, to see whether its entry is still there; it is
 * done when it is, and starts over when it is not.
 */
import { setTimeout as delay } from "node:timers/promises"
import { AppError } from "../../contract/errors.ts"
import { MAX_MANIFEST_BYTES, type Blob, type Digest } from "../../core/oci/manifest.ts"
import {
  readManifestHead,
  readReferrerIndex,
  referrerIndex,
  toReferrerEntry,
  type ManifestHead,
  type ReferrerEntry,
} from "../../core/oci/referrer-index.ts"
import { fallbackTag, type Referrer } from "../../services/ports/registry.ts"
import type { RemoteRepository } from "./remote-repository.ts"
import { nextPage } from "./tag-list.ts"

/** Each round somebody gets his entry in for good, so this many writers can meet. */
const MAX_ROUNDS = 200
/** Shortest wait before an entry counts as settled: many times what a look and a write take on one computer. */
const SETTLE_MS = 60
const MAX_PAGES = 100

export async function listReferrers(
  repository: RemoteRepository,
  digest: Digest,
): Promise<readonly Referrer[]> {
  const listed = (await fromApi(repository, digest)) ?? (await fromFallback(repository, digest))
  const found: Referrer[] = []
  const seen = new Set<Digest>()
  for (const { descriptor, artifactType, annotations } of listed) {
    if (seen.has(descriptor.digest)) continue
    seen.add(descriptor.digest)
    if (artifactType !== null) found.push({ descriptor, artifactType, annotations })
    else {
      // A copying tool dropped the field: the manifest has it.
      const manifest = await repository.manifest(descriptor.digest)
      if (manifest === null) continue
      const head = readManifestHead(manifest.bytes)
      found.push({ descriptor, artifactType: head.artifactType, annotations: head.annotations })
    }
  }
  return found
}

/** A manifest that is attached to another, and what it says about itself. */
export interface Attached {
  readonly manifest: Blob
  readonly head: ManifestHead
}

/** Adds manifests to the index under the fallback tag of their subject, in one change. */
export async function attachReferrers(
  repository: RemoteRepository,
  subject: Digest,
  attached: readonly Attached[],
): Promise<void> {
  const wanted = attached.map(({ manifest, head }) => toReferrerEntry(manifest, head))
  await changeIndex(repository, subject, (entries) => {
    const missing = wanted.filter(({ descriptor }) => !includes(entries, descriptor.digest))
    return missing.length === 0 ? entries : [...entries, ...missing]
  })
}

export async function removeReferrer(
  repository: RemoteRepository,
  subject: Digest,
  digest: Digest,
): Promise<void> {
  await changeIndex(repository, subject, (entries) =>
    includes(entries, digest) ? entries.filter(({ descriptor }) => descriptor.digest !== digest) : entries,
  )
}

/** `change` returns its argument when there is nothing left to change. */
async function changeIndex(
  repository: RemoteRepository,
  subject: Digest,
  change: (entries: readonly ReferrerEntry[]) => readonly ReferrerEntry[],
): Promise<void> {
  const tag = fallbackTag(subject)
  let slowestMs = 0
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const stored = await repository.manifest(tag)
    const entries = stored === null ? [] : readReferrerIndex(stored.bytes)
    const changed = change(entries)
    if (changed === entries) return
    const lookedAt = performance.now()
    // Reading took a while; another writer may have been here since.
    if ((await repository.manifestDigest(tag)) !== (stored?.descriptor.digest ?? null)) {
      await delay(Math.random() * SETTLE_MS, undefined, { signal: repository.signal })
      continue
    }
    await repository.storeManifest(referrerIndex(changed), tag)
    slowestMs = Math.max(slowestMs, performance.now() - lookedAt)
    const settleMs = Math.max(SETTLE_MS, 4 * slowestMs)
    await delay(settleMs * (1 + Math.random()), undefined, { signal: repository.signal })
  }
  throw new AppError("REGISTRY_BUSY", `too many writers change the list of ${subject.slice(0, 19)}…`)
}

/** The registry's own list, or `null` when it keeps none. */
async function fromApi(
  repository: RemoteRepository,
  digest: Digest,
): Promise<readonly ReferrerEntry[] | null> {
  if (repository.lacksReferrersApi) return null
  const entries: ReferrerEntry[] = []
  let next: string | null = repository.at(`referrers/${digest}`)
  for (let page = 0; next !== null; page += 1) {
    if (page === MAX_PAGES)
      throw new AppError("REGISTRY_TOO_LARGE", `more than ${MAX_PAGES} pages of referrers`)
    const { answer, bytes } = await repository.session.document(
      { method: "GET", to: next, scope: repository.scope("pull"), expect: [200, 400, 404, 405] },
      MAX_MANIFEST_BYTES,
      repository.signal,
    )
    if (answer.status !== 200) {
      repository.lacksReferrersApi = true
      return null
    }
    entries.push(...readReferrerIndex(bytes))
    next = nextPage(answer)
  }
  return entries
}

async function fromFallback(repository: RemoteRepository, digest: Digest): Promise<readonly ReferrerEntry[]> {
  const stored = await repository.manifest(fallbackTag(digest))
  return stored === null ? [] : readReferrerIndex(stored.bytes)
}

function includes(entries: readonly ReferrerEntry[], digest: Digest): boolean {
  return entries.some(({ descriptor }) => descriptor.digest === digest)
}
