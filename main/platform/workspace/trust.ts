import { readdir, stat } from "node:fs/promises"
import path from "node:path"
import { AppError } from "../../contract/errors.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import { readAll } from "../../core/bytes/source.ts"
import type { TrustStore } from "../../services/ports.ts"
import type { KeyStore } from "../../services/ports/keys.ts"
import { openRegular } from "../files.ts"
import { listFolder } from "./records.ts"

/** Trust material is a handful of keys and certificates. */
const MAX_PEM_BYTES = 1 << 20

/**
 * Public keys from a PEM file or a folder of `.pem` and `.crt` files. Without a path: the signing keys of the workspace
 * and what lies in its `trust` folder.
 */
export function pemTrust(keys: KeyStore, folder: string, pathOf: (file: FileRef) => string): TrustStore {
  return {
    async read(from) {
      if (from !== null) return readPath(pathOf(from))
      const own = (await keys.list()).flatMap((key) =>
        key.purpose === "signing" && key.publicKeyPem !== null
          ? [{ label: key.name, pem: key.publicKeyPem }]
          : [],
      )
      const files = (await listFolder(folder)).filter(isPem)
      return [...own, ...(await Promise.all(files.map(async (name) => readPem(path.join(folder, name)))))]
    },
  }
}

async function readPath(
  target: string,
): Promise<readonly { readonly label: string; readonly pem: string }[]> {
  const stats = await stat(target).catch(() => null)
  if (stats === null) throw new AppError("FILE_NOT_FOUND", `${path.basename(target)} does not exist`)
  if (!stats.isDirectory()) return [await readPem(target)]
  const names = (await readdir(target)).filter(isPem).sort()
  if (names.length === 0)
    throw new AppError("FILE_NOT_FOUND", `${path.basename(target)} holds no .pem or .crt file`)
  return Promise.all(names.map(async (name) => readPem(path.join(target, name))))
}

async function readPem(filePath: string): Promise<{ readonly label: string; readonly pem: string }> {
  const file = await openRegular(filePath)
  try {
    const bytes = await readAll(
      file,
      MAX_PEM_BYTES,
      () => new AppError("KEY_UNREADABLE", `${file.name} is too large for a key`),
    )
    return { label: file.name.replace(/\.(pem|crt)$/, ""), pem: Buffer.from(bytes).toString("latin1") }
  } finally {
    await file.close()
  }
}

function isPem(name: string): boolean {
  return name.endsWith(".pem") || name.endsWith(".crt")
}
