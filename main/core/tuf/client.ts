/**
 * The client workflow of TUF (specification 1.0.34, section 5) as a computation: trusted documents, a source of new ones and
 * a time go in, the documents that may be trusted from now on come out. It never looks at a clock, a disk or a network, and
 * keeps what it verified before a refusal, because a new root counts even when what follows it does not.
 */
import type { MetaFile, TargetFile, Targets } from "@tufjs/models"
import { createHash } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import { MAX_BYTES, parseMetadata, type Kind, type MetadataByKind } from "./metadata.ts"

/** Where documents come from: a folder, an archive, an answer of a registry. Names as on a TUF repository. */
export interface MetadataSource {
  /** `null` when it has no such document. At most `maxBytes` need to be read; more is refused here (endless data). */
  read(name: string, maxBytes: number): Promise<Uint8Array | null>
}

/** Intermediate roots followed in one refresh (5.3.2, Y). */
const MAX_ROOT_ROTATIONS = 256
/** Delegated roles looked into for one target (5.6.7.1). */
const MAX_DELEGATIONS = 32

export class TufClient {
  readonly #trusted: Map<string, Uint8Array>
  /** The start time of the update (5.1): every expiry is judged by it. */
  readonly #now: Date
  #root: MetadataByKind["root"]
  #timestamp: MetadataByKind["timestamp"] | null = null
  #snapshot: MetadataByKind["snapshot"] | null = null
  readonly #targets = new Map<string, MetadataByKind["targets"]>()

  /**
   * `trusted`: documents kept from before, by role; a root there must be. It may have expired (5.3.10 is checked after the
   * chain was followed). Throws METADATA_MISSING, METADATA_MALFORMED, METADATA_UNSIGNED.
   */
  constructor(trusted: ReadonlyMap<string, Uint8Array>, now: Date) {
    this.#trusted = new Map(trusted)
    this.#now = now
    const root = trusted.get("root")
    if (root === undefined) throw new AppError("METADATA_MISSING", "there is no trusted root")
    this.#root = parseMetadata("root", root, "the trusted root")
    checkDelegation(this.#root, "root", this.#root, "the trusted root")
  }

  /** What may be kept, by role name, at any moment, also after a refusal. */
  get trusted(): ReadonlyMap<string, Uint8Array> {
    return this.#trusted
  }

  get root(): MetadataByKind["root"] {
    return this.#root
  }

  get timestamp(): MetadataByKind["timestamp"] {
    return loaded(this.#timestamp)
  }

  get snapshot(): MetadataByKind["snapshot"] {
    return loaded(this.#snapshot)
  }

  /** The metadata of a targets role that was loaded; `null` for one nothing needed yet. */
  targetsOf(role: string): Targets | null {
    return this.#targets.get(role)?.signed ?? null
  }

  /** 5.3 to 5.6 for the top-level roles. */
  async refresh(source: MetadataSource): Promise<void> {
    await this.followRoots(source)
    await this.#updateTimestamp(source)
    await this.#updateSnapshot(source)
    await this.loadTargets("targets", "root", source)
  }

  /** 5.6.7: the target by preorder depth-first search, or `null`. */
  async findTarget(path: string, source: MetadataSource): Promise<TargetFile | null> {
    const pending: [role: string, parent: string][] = [["targets", "root"]]
    const visited = new Set<string>()
    while (visited.size <= MAX_DELEGATIONS) {
      const next = pending.pop()
      if (next === undefined) return null
      const [role, parent] = next
      if (visited.has(role)) continue
      const { targets, delegations } = await this.loadTargets(role, parent, source)
      visited.add(role)
      if (Object.hasOwn(targets, path)) return targets[path] ?? null
      const children: [string, string][] = []
      for (const child of delegations?.rolesForTarget(path) ?? []) {
        children.push([child.role, role])
        if (!child.terminating) continue
        // 5.6.7.2.1: nothing outside this branch may answer any more.
        pending.length = 0
        break
      }
      pending.push(...children.toReversed())
    }
    return null
  }

  /** A targets role below the one that delegates to it, from what is kept when that is current, else from the source. */
  async loadTargets(role: string, delegator: string, source: MetadataSource): Promise<Targets> {
    const parent = delegator === "root" ? this.#root : this.#targets.get(delegator)
    if (parent === undefined) throw new AppError("METADATA_MISSING", `the role ${delegator} is not loaded`)
    const seen = this.#targets.get(role)
    if (seen !== undefined) {
      // A second delegator may trust other keys: what one of them accepted is not accepted for the other.
      checkDelegation(parent, role, seen, role)
      return seen.signed
    }
    const { meta } = this.snapshot.signed
    const info = Object.hasOwn(meta, `${role}.json`) ? meta[`${role}.json`] : undefined
    if (info === undefined) throw new AppError("METADATA_MISMATCH", `the snapshot does not list ${role}`)
    const accept = (bytes: Uint8Array) => {
      checkContent(bytes, info, role) // 5.6.2
      const fresh = parseMetadata("targets", bytes, role)
      checkDelegation(parent, role, fresh, role) // 5.6.3
      checkVersion(fresh.signed.version, info.version, role) // 5.6.4
      this.#checkFresh(fresh, role) // 5.6.5
      return fresh
    }
    const kept = this.#trusted.get(role)
    let fresh = kept === undefined ? null : orNull(() => accept(kept))
    if (fresh === null) {
      const name = this.#versioned(`${encodeURIComponent(role)}.json`, info.version)
      const bytes = await fetchDocument(source, name, info.length ?? MAX_BYTES.targets)
      fresh = accept(bytes)
      this.#trusted.set(role, bytes)
    }
    this.#targets.set(role, fresh)
    return fresh.signed
  }

  /** 5.3: every version between the trusted root and the newest, each signed by the one before and by itself. */
  async followRoots(source: MetadataSource): Promise<void> {
    for (let step = 0; step < MAX_ROOT_ROTATIONS; step += 1) {
      const version = this.#root.signed.version + 1
      const name = `${version}.root.json`
      const bytes = await readLimited(source, name, MAX_BYTES.root)
      if (bytes === null) break
      const next = parseMetadata("root", bytes, name)
      checkDelegation(this.#root, "root", next, name) // 5.3.4
      checkDelegation(next, "root", next, name)
      if (next.signed.version !== version) {
        throw new AppError("METADATA_ROLLBACK", `${name} says it is version ${next.signed.version}`) // 5.3.5
      }
      this.#root = next
      this.#trusted.set("root", bytes)
    }
    this.#checkFresh(this.#root, "the root") // 5.3.10
  }

  /** 5.4. A kept timestamp that the root no longer vouches for says nothing: this is how fast-forward is recovered from. */
  async #updateTimestamp(source: MetadataSource): Promise<void> {
    const kept = this.#kept("timestamp")
    const bytes = await fetchDocument(source, "timestamp.json", MAX_BYTES.timestamp)
    const next = parseMetadata("timestamp", bytes, "the timestamp")
    checkDelegation(this.#root, "timestamp", next, "the timestamp") // 5.4.2
    if (kept !== null) {
      checkNotOlder(next.signed.version, kept.signed.version, "the timestamp") // 5.4.3.1
      checkNotOlder(
        next.signed.snapshotMeta.version,
        kept.signed.snapshotMeta.version,
        "the snapshot named by the timestamp",
      ) // 5.4.3.2
      if (next.signed.version === kept.signed.version) {
        // The same version: nothing is new, and the one already verified stays.
        this.#timestamp = kept
        this.#checkFresh(kept, "the timestamp")
        return
      }
    }
    this.#timestamp = next
    this.#checkFresh(next, "the timestamp") // 5.4.4
    this.#trusted.set("timestamp", bytes)
  }

  /** 5.5 */
  async #updateSnapshot(source: MetadataSource): Promise<void> {
    const info = this.timestamp.signed.snapshotMeta
    const kept = this.#kept("snapshot")
    if (kept !== null && kept.signed.version === info.version && !this.#isExpired(kept)) {
      this.#snapshot = kept
      return
    }
    const name = this.#versioned("snapshot.json", info.version)
    const bytes = await fetchDocument(source, name, info.length ?? MAX_BYTES.snapshot)
    checkContent(bytes, info, "the snapshot") // 5.5.2
    const next = parseMetadata("snapshot", bytes, "the snapshot")
    checkDelegation(this.#root, "snapshot", next, "the snapshot") // 5.5.3
    checkVersion(next.signed.version, info.version, "the snapshot") // 5.5.4
    for (const [file, { version }] of Object.entries(kept?.signed.meta ?? {})) {
      const now = Object.hasOwn(next.signed.meta, file) ? next.signed.meta[file] : undefined
      if (now === undefined) throw new AppError("METADATA_ROLLBACK", `the snapshot no longer lists ${file}`) // 5.5.5
      checkNotOlder(now.version, version, file)
    }
    this.#checkFresh(next, "the snapshot") // 5.5.6
    this.#snapshot = next
    this.#trusted.set("snapshot", bytes)
  }

  /** The kept document of a role, if the present root still vouches for it; it may have expired. */
  #kept<K extends "timestamp" | "snapshot">(kind: K): MetadataByKind[K] | null {
    const bytes = this.#trusted.get(kind)
    if (bytes === undefined) return null
    return orNull(() => {
      const metadata = parseMetadata(kind, bytes, kind)
      checkDelegation(this.#root, kind, metadata, kind)
      return metadata
    })
  }

  #versioned(name: string, version: number): string {
    return this.#root.signed.consistentSnapshot ? `${version}.${name}` : name
  }

  #isExpired(metadata: MetadataByKind[Kind]): boolean {
    return metadata.signed.isExpired(this.#now)
  }

  #checkFresh(metadata: MetadataByKind[Kind], name: string): void {
    if (this.#isExpired(metadata))
      throw new AppError("METADATA_EXPIRED", `${name} was valid until ${metadata.signed.expires}`)
  }
}

/** Throws METADATA_UNSIGNED unless `delegator` gives `role` keys, and enough different ones of them signed. */
function checkDelegation(
  delegator: MetadataByKind["root"] | MetadataByKind["targets"],
  role: string,
  metadata: MetadataByKind[Kind],
  name: string,
): void {
  try {
    delegator.verifyDelegate(role, metadata)
  } catch (error) {
    throw new AppError(
      "METADATA_UNSIGNED",
      `${name}: ${error instanceof Error ? error.message : "not signed"}`,
    )
  }
}

/** Throws METADATA_MISMATCH unless the bytes are those of the target; METADATA_TOO_LARGE when there are more. */
export function checkTargetBytes(target: TargetFile, bytes: Uint8Array): void {
  checkContent(bytes, target, `the target ${target.path}`)
  if (Object.keys(target.hashes).length === 0)
    throw new AppError("METADATA_MALFORMED", `the target ${target.path} has no hash`)
}

/** Hash names TUF repositories use, as Node calls them. */
const HASHES: ReadonlySet<string> = new Set(["sha256", "sha384", "sha512"])

function checkContent(bytes: Uint8Array, info: Pick<MetaFile, "length" | "hashes">, name: string): void {
  if (info.length !== undefined && bytes.length !== info.length)
    throw new AppError("METADATA_MISMATCH", `${name} is ${bytes.length} bytes, not ${info.length}`)
  for (const [algorithm, hex] of Object.entries(info.hashes ?? {})) {
    if (!HASHES.has(algorithm))
      throw new AppError("METADATA_MISMATCH", `${name} has a hash of an unknown kind`)
    if (createHash(algorithm).update(bytes).digest("hex") !== hex)
      throw new AppError("METADATA_MISMATCH", `${name} does not have the ${algorithm} its list promises`)
  }
}

function checkVersion(version: number, listed: number, name: string): void {
  if (version !== listed)
    throw new AppError("METADATA_MISMATCH", `${name} is version ${version}, listed is version ${listed}`)
}

function checkNotOlder(version: number, seen: number, name: string): void {
  if (version < seen)
    throw new AppError("METADATA_ROLLBACK", `${name} is version ${version}, version ${seen} was seen before`)
}

async function fetchDocument(source: MetadataSource, name: string, maxBytes: number): Promise<Uint8Array> {
  const bytes = await readLimited(source, name, maxBytes)
  if (bytes === null) throw new AppError("METADATA_MISSING", `${name} is missing`)
  return bytes
}

async function readLimited(
  source: MetadataSource,
  name: string,
  maxBytes: number,
): Promise<Uint8Array | null> {
  const bytes = await source.read(name, maxBytes)
  if (bytes !== null && bytes.length > maxBytes)
    throw new AppError("METADATA_TOO_LARGE", `${name} is more than ${maxBytes} bytes`)
  return bytes
}

/** What is kept and does not hold any more is as if it were not there. */
function orNull<T>(read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof AppError) return null
    throw error
  }
}

function loaded<T>(value: T | null): T {
  if (value === null) throw new AppError("METADATA_MISSING", "the metadata was not refreshed")
  return value
}
