/**
 * A process that attaches bundles to one manifest, as fast as it can, and prints the digest of each that is safely stored:
 * `PLACE-JSON SUBJECT-JSON WRITER COUNT`. Tests start several at once and kill some.
 */
import { localFiles } from "../../main/platform/files.ts"
import { registries } from "../../main/platform/registry/registries.ts"
import { attachBundle, type WriterPlace } from "./registry-data.ts"
import type { Descriptor } from "../../main/core/oci/manifest.ts"

const [placeText = "", subjectText = "", writer = "", count = ""] = process.argv.slice(2)
// Both were written by the test that started this process.
const place = JSON.parse(placeText) as WriterPlace
const subject = JSON.parse(subjectText) as Descriptor

const files = localFiles()
const repository = registries({
  pathOf: files.pathOf,
  credentials: { find: async () => null },
  tokenServers: { find: async () => null, keep: async () => {} },
  environment: {},
  now: () => new Date(),
}).open(
  place.kind === "folder" ? { kind: "folder", folder: files.refer(place.folder) } : place,
  new AbortController().signal,
)
for (let index = 0; index < Number(count); index += 1) {
  const attached = await attachBundle(repository, subject, `${writer}/${index}`)
  process.stdout.write(`${attached.digest}\n`)
}
