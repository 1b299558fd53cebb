/** Opening a link with a token in a browser without the token standing in the arguments of any process. */
import { randomBytes } from "node:crypto"
import { mkdir, rm, writeFile } from "node:fs/promises"
import path from "node:path"

/**
 * Writes a page only its owner can read, which leads on to the link, and has it opened. Returns what removes the page; by
 * then the browser has read it, and a link that was used is good for nothing.
 */
export async function openPrivately(
  link: string,
  workspace: string,
  launch: (file: string) => void,
): Promise<() => Promise<void>> {
  await mkdir(workspace, { recursive: true, mode: 0o700 })
  const file = path.join(workspace, `open-${randomBytes(6).toString("hex")}.html`)
  const script = `location.replace(${JSON.stringify(link)})`
  await writeFile(
    file,
    `<!doctype html><meta charset="utf-8"><title>Sealwright</title><script>${script}</script>`,
    {
      mode: 0o600,
      flag: "wx",
    },
  )
  launch(file)
  return async () => rm(file, { force: true })
}
