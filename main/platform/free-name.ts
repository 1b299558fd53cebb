import { lstat } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../contract/errors.ts"

const MAX_TRIES = 10_000

/** A path in `folder` where nothing is: `name`, or `name-2` and so on before its ending. Throws FILE_NAME_UNSAFE, OUTPUT_EXISTS. */
export async function freeName(folder: string, name: string): Promise<string> {
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  if (name !== path.basename(name) || /^\.|[\u0000-\u001f\\/:*?"<>|\ufffd]/.test(name))
    throw new AppError("FILE_NAME_UNSAFE", "the name of a result cannot be used")
  const { name: stem, ext } = path.parse(name)
  for (let number = 1; number <= MAX_TRIES; number += 1) {
    const candidate = path.join(folder, number === 1 ? name : `${stem}-${number}${ext}`)
    const isFree = await lstat(candidate).then(
      () => false,
      () => true,
    )
    if (isFree) return candidate
  }
  throw new AppError("OUTPUT_EXISTS", `${name} and all its successors exist already`)
}
