/** Which npm packages the product needs when it runs: the lockfile's tree from our own dependencies, and nothing of the installers. */
import { existsSync, readFileSync } from "node:fs"
import path from "node:path"

export interface Dependency {
  readonly name: string
  readonly version: string
  /** SPDX expression. */
  readonly licence: string
  /** Folder relative to the project, `node_modules/…`. */
  readonly folder: string
}

interface LockedPackage {
  readonly version?: string
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** What a package asks for only to install itself, which has happened when it is copied. */
const INSTALLERS: Readonly<Record<string, readonly string[]>> = {
  "onnxruntime-node": ["adm-zip", "global-agent"],
}

/** Sorted by folder. Throws when the lockfile does not hold what a package asks for. */
export function productDependencies(root: string): readonly Dependency[] {
  const locked = readLock(root)
  const found = new Map<string, Dependency>()
  const visit = (folder: string, names: readonly string[]): void => {
    for (const name of names) {
      const place = resolve(locked, folder, name)
      if (found.has(place)) continue
      const entry = locked.get(place)
      if (entry?.version === undefined) throw new Error(`${place} has no version in the lockfile`)
      found.set(place, describe(place, entry))
      const skipped = INSTALLERS[name] ?? []
      // Parts for single systems: npm has put those of this one here.
      const optional = Object.keys(entry.optionalDependencies ?? {}).filter((each) =>
        existsSync(path.join(root, "node_modules", each)),
      )
      visit(place, optional)
      visit(
        place,
        Object.keys(entry.dependencies ?? {}).filter((each) => !skipped.includes(each)),
      )
    }
  }
  visit("", Object.keys(locked.get("")?.dependencies ?? {}))
  return [...found.values()].sort((a, b) => (a.folder < b.folder ? -1 : 1))
}

/** The packages a bundle is made of, as `noteBundledPackages` listed them. */
export function bundledDependencies(root: string, list: string): readonly Dependency[] {
  const locked = readLock(root)
  const folders = JSON.parse(readFileSync(path.join(root, "dist", list), "utf8")) as readonly string[] // ours
  return folders.map((folder) => describe(folder, locked.get(folder) ?? {}))
}

function describe(folder: string, { version = "", license = "" }: LockedPackage): Dependency {
  return { name: folder.slice(folder.lastIndexOf("node_modules/") + 13), version, licence: license, folder }
}

/** As Node does: the nearest `node_modules` that holds it. */
function resolve(locked: ReadonlyMap<string, LockedPackage>, from: string, name: string): string {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    const place = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`
    if (locked.has(place)) return place
    if (folder === "") throw new Error(`${name}, which ${from} needs, is not in the lockfile`)
  }
}

function readLock(root: string): ReadonlyMap<string, LockedPackage> {
  // npm's own file, in the shape its documentation gives.
  const lock = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, LockedPackage>>
  }
  return new Map(Object.entries(lock.packages))
}
