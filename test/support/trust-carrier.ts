/** A file of trust metadata alone: that of another file, with documents of a test's own in their places. */
import { readFileSync } from "node:fs"
import { sourceOf } from "../../main/core/bytes/source.ts"
import { readSealFile } from "../../main/core/oci/seal-file.ts"
import { addTrustDocuments } from "../../main/services/seal-copy.ts"
import { SealWriter } from "../../main/services/seal-writer.ts"
import { memoryFile } from "./seal-maker.ts"

/** `own`: by the names of FORMAT 10.6; those of a bin go into a manifest of their own. */
export async function trustCarrier(file: string, own: ReadonlyMap<string, Uint8Array>): Promise<Buffer> {
  const source = sourceOf(readFileSync(file))
  const { trust } = await readSealFile(source, { mayLackPackages: true })
  const documents = new Map<string, Uint8Array>()
  for (const [name, { entry }] of trust)
    documents.set(name, Uint8Array.from(await source.read(entry.offset, entry.size)))
  for (const [name, bytes] of own) documents.set(name, bytes)
  const output = memoryFile()
  const writer = new SealWriter(output)
  const isWord = ([name]: readonly [string, Uint8Array]) => name.startsWith("devices/")
  await addTrustDocuments(writer, new Map([...documents].filter((each) => !isWord(each))))
  await addTrustDocuments(writer, new Map([...documents].filter(isWord)))
  await writer.finish()
  return output.bytes()
}
