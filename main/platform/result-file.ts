import { stat } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../contract/errors.ts"

/** The regular file at a path, or the one named `inside` a folder of results. Throws FILE_NAME_UNSAFE, FILE_NOT_FOUND. */
export async function resultFile(located: string, inside: string | null): Promise<string> {
  if (inside !== null && (inside !== path.basename(inside) || inside === ".." || inside === "."))
    throw new AppError("FILE_NAME_UNSAFE", "the name inside a folder leads elsewhere")
  const target = inside === null ? located : path.join(located, inside)
  const stats = await stat(target).catch(() => null)
  if (stats?.isFile() !== true)
    throw new AppError("FILE_NOT_FOUND", `${path.basename(target)} does not exist`)
  return target
}
