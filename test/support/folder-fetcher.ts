/** How tuf-js reads a repository that lies in a folder. */
import { existsSync, readFileSync } from "node:fs"
import path from "node:path"
import { BaseFetcher } from "tuf-js"
import { DownloadHTTPError } from "tuf-js/dist/error.js"

/** A folder instead of HTTP; what is not there is a 404. */
export class FolderFetcher extends BaseFetcher {
  readonly #folder: string

  constructor(folder: string) {
    super()
    this.#folder = folder
  }

  override async fetch(url: string): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const file = path.join(this.#folder, decodeURIComponent(path.basename(url)))
    if (!existsSync(file)) throw new DownloadHTTPError("not found", 404)
    const bytes = Uint8Array.from(readFileSync(file))
    return new ReadableStream({
      start(controller) {
        controller.enqueue(bytes)
        controller.close()
      },
    })
  }
}
