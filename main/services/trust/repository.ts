/** One TUF repository of the workspace: its documents under the names a client asks for. */
import { TufClient, type MetadataSource } from "../../core/tuf/client.ts"
import { parseMetadata } from "../../core/tuf/metadata.ts"
import type { Documents } from "../ports/documents.ts"

export class Repository {
  readonly #documents: Documents
  readonly folder: string

  /** `folder` such as `tuf/image`. */
  constructor(documents: Documents, folder: string) {
    this.#documents = documents
    this.folder = folder
  }

  async read(name: string): Promise<Uint8Array | null> {
    return this.#documents.read(`${this.folder}/${name}`)
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    await this.#documents.write(`${this.folder}/${name}`, bytes)
  }

  async names(): Promise<readonly string[]> {
    return (await this.#documents.list(this.folder)).filter((name) => name.endsWith(".json"))
  }

  /** Every root in order; none in a repository that was never signed. */
  async roots(): Promise<readonly Uint8Array[]> {
    const roots: Uint8Array[] = []
    for (;;) {
      const bytes = await this.read(`${roots.length + 1}.root.json`)
      if (bytes === null) return roots
      roots.push(bytes)
    }
  }

  /**
   * What a client that knows the first root makes of the repository at `now`, with `more` documents in it. Throws what that
   * client would refuse.
   */
  async check(now: Date, more: ReadonlyMap<string, Uint8Array> = new Map()): Promise<TufClient> {
    const source = this.source(more)
    const first = await source.read("1.root.json", Number.MAX_SAFE_INTEGER)
    const client = new TufClient(first === null ? new Map() : new Map([["root", first]]), now)
    await client.refresh(source)
    return client
  }

  source(more: ReadonlyMap<string, Uint8Array> = new Map()): MetadataSource {
    return { read: async (name) => more.get(name) ?? (await this.read(name)) }
  }

  /** The newest version of a role's metadata; `null` when there is none. */
  async latest(role: string): Promise<{ readonly version: number; readonly bytes: Uint8Array } | null> {
    const suffix = `.${role}.json`
    const versions = (await this.names())
      .filter((name) => name.endsWith(suffix) && /^\d+$/.test(name.slice(0, -suffix.length)))
      .map((name) => Number(name.slice(0, -suffix.length)))
    const version = Math.max(0, ...versions)
    const bytes = version === 0 ? null : await this.read(`${version}${suffix}`)
    return bytes === null ? null : { version, bytes }
  }

  /** The version the timestamp or snapshot has now, 0 when there is none. */
  async timestampVersion(): Promise<number> {
    const bytes = await this.read("timestamp.json")
    return bytes === null ? 0 : parseMetadata("timestamp", bytes, "the timestamp").signed.version
  }
}
