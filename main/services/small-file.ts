/** Files that are written whole or not at all, and are small enough to be in memory. */
import type { FileRef } from "../contract/schema/base.ts"
import type { Ports } from "./ports.ts"

/** Returns the file's name. Throws OUTPUT_EXISTS, OUTPUT_UNWRITABLE, NO_SPACE. */
export async function writeSmallFile(
  ports: Ports,
  output: { readonly file: FileRef; readonly replace: boolean },
  bytes: Uint8Array,
): Promise<string> {
  const file = await ports.files.create(output.file, { replace: output.replace, isSecret: false })
  try {
    await file.write(0, bytes)
    await file.commit()
  } finally {
    await file.discard()
  }
  return ports.files.nameOf(output.file)
}
