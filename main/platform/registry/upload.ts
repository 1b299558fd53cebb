/**
 * A blob from a file to a registry (distribution-spec 1.1, "Pushing blobs"): small ones in one request, large ones in chunks,
 * so that a connection that breaks costs a chunk where the registry can continue and the blob where it cannot.
 */
import { createHash, type Hash } from "node:crypto"
import { AppError } from "../../contract/errors.ts"
import type { BlobContent, BlobName, OnBytes } from "../../services/ports/registry.ts"
import { readBlobContent } from "./descriptor-io.ts"
import type { Answer } from "./http.ts"
import type { RegistrySession } from "./session.ts"
import { TryLater } from "./retry.ts"

interface UploadPlace {
  readonly session: RegistrySession
  /** `/v2/NAME/blobs/uploads/`. */
  readonly path: string
  readonly scope: string
  readonly signal: AbortSignal
}

/** Up to here a blob is one request; larger ones go in chunks of this size. */
const CHUNK_BYTES = 64 << 20

/** Throws SEAL_DIGEST_MISMATCH when the content is not what it should be; such a blob is never completed. */
export async function uploadBlob(
  place: UploadPlace,
  blob: BlobName,
  content: BlobContent,
  onBytes: OnBytes = () => {},
): Promise<void> {
  const upload = new Upload(place, blob, content)
  let best = 0
  try {
    await place.session.retrying(place.signal, async (progressed) =>
      upload.attempt((done) => {
        onBytes(done)
        // Starting over is progress only once it gets further than before.
        if (done > best) progressed()
        best = Math.max(best, done)
      }),
    )
  } catch (error) {
    await upload.abandon()
    throw error
  }
}

/** A blob on its way: which session on the registry it is in, and how much of it is known to have arrived there. */
class Upload {
  readonly #place: UploadPlace
  readonly #blob: BlobName
  readonly #content: BlobContent
  #location: URL | null = null
  /** Bytes that arrived in whole chunks, and the hash of them. */
  #arrived = 0
  #hash: Hash = createHash("sha256")

  constructor(place: UploadPlace, blob: BlobName, content: BlobContent) {
    this.#place = place
    this.#blob = blob
    this.#content = content
  }

  /** Takes the blob as far as it gets, from where the last attempt ended if the registry knows that place too. */
  async attempt(onBytes: OnBytes): Promise<void> {
    if (this.#location !== null && !(await this.#canContinue())) {
      if (await this.#isStored()) return onBytes(this.#blob.size)
      await this.abandon()
    }
    if (this.#location === null) await this.#open()
    while (this.#blob.size - this.#arrived > CHUNK_BYTES) {
      const to = this.#arrived + CHUNK_BYTES
      const hash = this.#hash.copy()
      await this.#send("PATCH", this.#at(), hash, to, onBytes)
      this.#arrived = to
      this.#hash = hash
    }
    const end = this.#at()
    end.searchParams.set("digest", this.#blob.digest)
    await this.#send("PUT", end, this.#hash.copy(), this.#blob.size, onBytes)
    this.#location = null
    onBytes(this.#blob.size)
  }

  /** Tells the registry to forget what it has, without insisting: sessions expire. */
  async abandon(): Promise<void> {
    if (this.#location === null) return
    const { session, scope } = this.#place
    const request = { method: "DELETE", to: this.#location, scope, expect: [200, 202, 204] } as const
    this.#location = null
    await session.once(request, AbortSignal.timeout(ABANDON_MS)).then(
      (answer) => answer.drop(),
      () => {},
    )
  }

  async #open(): Promise<void> {
    const { session, path, scope, signal } = this.#place
    this.#arrived = 0
    this.#hash = createHash("sha256")
    this.#follow(await session.once({ method: "POST", to: path, scope, expect: [202] }, signal))
  }

  /**
   * Whether the session holds exactly what we know to have arrived. A chunk that came in part is not continued: registries
   * disagree about what they keep of it, and some accept the rest only to fail at the end.
   */
  async #canContinue(): Promise<boolean> {
    const { session, scope, signal } = this.#place
    const request = { method: "GET", to: this.#at(), scope, expect: [204, 400, 404, 405, 416] } as const
    const answer = await session.once(request, signal)
    if (answer.status !== 204 || uploadedBytes(answer) !== this.#arrived) {
      answer.drop()
      return false
    }
    this.#follow(answer)
    return true
  }

  /** The answer to the last request may have been lost, and not the blob. */
  async #isStored(): Promise<boolean> {
    const { session, path, scope, signal } = this.#place
    const to = path.replace(/uploads\/$/, this.#blob.digest)
    const answer = await session.once({ method: "HEAD", to, scope, expect: [200, 404] }, signal)
    answer.drop()
    return answer.status === 200
  }

  async #send(method: "PATCH" | "PUT", to: URL, hash: Hash, end: number, onBytes: OnBytes): Promise<void> {
    const { session, scope, signal } = this.#place
    const from = this.#arrived
    const parts = () => this.#parts(hash, from, end, onBytes)
    try {
      const answer = await session.once(
        {
          method,
          to,
          scope,
          expect: method === "PUT" ? [201, 204] : [202, 204],
          headers: {
            "content-type": "application/octet-stream",
            "content-range": `${from}-${Math.max(from, end - 1)}`,
          },
          body: { length: end - from, parts },
        },
        signal,
      )
      if (method === "PATCH") this.#follow(answer)
      else answer.drop()
    } catch (error) {
      throw asLostSession(error)
    }
  }

  async *#parts(hash: Hash, from: number, end: number, onBytes: OnBytes): AsyncGenerator<Uint8Array, void> {
    let at = from
    for await (const part of readBlobContent(this.#blob, this.#content, hash, from, end)) {
      yield part
      at += part.length
      onBytes(at)
    }
  }

  #at(): URL {
    if (this.#location === null) throw new AppError("INTERNAL", "no upload is open")
    return new URL(this.#location)
  }

  /** Where the next request goes. It may be another host, which then sees no login of ours. */
  #follow(answer: Answer): void {
    answer.drop()
    const location = answer.header("location")
    if (location === null || !URL.canParse(location, answer.url.href))
      throw new AppError("REGISTRY_MISBEHAVED", "the registry does not say where to upload to")
    const next = new URL(location, answer.url)
    if (answer.url.protocol === "https:" && next.protocol !== "https:")
      throw new AppError("REGISTRY_REDIRECT", "the registry sends an upload to an address without TLS")
    this.#location = next
  }
}

/** A session that the registry lost or disagrees about is no fault of the blob: a new one may do. */
function asLostSession(error: unknown): unknown {
  if (error instanceof TryLater || !(error instanceof AppError) || !SESSION_LOST.has(error.code)) return error
  return new TryLater(error.code, error.message, null)
}

const ABANDON_MS = 5_000
/** 400, 404, 409, 416 within an upload. */
const SESSION_LOST: ReadonlySet<string> = new Set(["REGISTRY_REFUSED", "REGISTRY_NOT_FOUND"])

/** `Range: 0-N` of an upload: N is the last byte there, and `0-0` also means none. */
function uploadedBytes(answer: Answer): number {
  const end = Number(/^(?:bytes=)?0-(\d{1,16})$/.exec(answer.header("range") ?? "")?.[1] ?? Number.NaN)
  return end === 0 ? 0 : end + 1
}
