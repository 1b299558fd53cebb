/** The licences of everything in the product, as one text. */
import { readFileSync } from "node:fs"
import path from "node:path"
import { licenceFile } from "./copy-package.ts"
import type { Dependency } from "./dependencies.ts"

const LINE = "=".repeat(100)

/** Throws when a package says nothing about its licence. Texts that are the same are printed once. */
export function thirdPartyLicences(root: string, packages: readonly Dependency[]): string {
  const byText = new Map<string, string[]>()
  for (const { name, version, licence, folder } of packages) {
    if (licence === "") throw new Error(`${name} names no licence`)
    const file = licenceFile(path.join(root, folder))
    const text =
      file === null
        ? `The package carries no text of its own; it is under ${licence}.`
        : readFileSync(file, "utf8").replaceAll("\r\n", "\n").trim()
    byText.set(text, [...(byText.get(text) ?? []), `${name} ${version} (${licence})`])
  }
  return [...byText]
    .map(([text, names]) => `${LINE}\n${[...new Set(names)].join("\n")}\n${LINE}\n\n${text}\n`)
    .join("\n")
}
