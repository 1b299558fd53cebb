/** What is in the product, as CycloneDX 1.6 (ECMA-424): every npm package, copied or bundled, Node, and each native file by its digest. */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import path from "node:path"
import type { Dependency } from "./dependencies.ts"

export interface BomParts {
  readonly name: string
  readonly version: string
  /** Of the files below; seconds since 1970. */
  readonly epoch: number
  readonly packages: readonly Dependency[]
  /** In a bundle, and where that lies in the product. */
  readonly bundled: readonly { readonly place: string; readonly packages: readonly Dependency[] }[]
  readonly programs: readonly { readonly name: string; readonly version: string; readonly licence: string }[]
  /** Native files, relative to `folder`. */
  readonly natives: readonly string[]
  readonly folder: string
}

/** The same product gives the same bytes. */
export function billOfMaterials(parts: BomParts): string {
  const components = [
    ...parts.programs.map(({ name, version, licence }) => ({
      type: "application",
      "bom-ref": `pkg:generic/${name}@${version}`,
      name,
      version,
      purl: `pkg:generic/${name}@${version}`,
      licenses: [{ expression: licence }],
    })),
    ...libraries(parts).map(([{ name, version, licence }, places]) => ({
      type: "library",
      "bom-ref": purl(name, version),
      name,
      version,
      purl: purl(name, version),
      licenses: [{ expression: licence }],
      properties: places.map((value) => ({ name: "sealwright:place", value })),
    })),
    ...parts.natives.map((file) => ({
      type: "file",
      "bom-ref": `file:${file}`,
      name: file,
      hashes: [{ alg: "SHA-256", content: digest(readFileSync(path.join(parts.folder, file))) }],
    })),
  ]
  const id = digest(JSON.stringify(components))
  return `${JSON.stringify(
    {
      $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
      bomFormat: "CycloneDX",
      specVersion: "1.6",
      serialNumber: `urn:uuid:${id.slice(0, 8)}-${id.slice(8, 12)}-8${id.slice(13, 16)}-8${id.slice(17, 20)}-${id.slice(20, 32)}`,
      version: 1,
      metadata: {
        timestamp: new Date(parts.epoch * 1000).toISOString(),
        component: {
          type: "application",
          "bom-ref": `pkg:generic/${parts.name}@${parts.version}`,
          name: parts.name,
          version: parts.version,
          licenses: [{ expression: "Apache-2.0" }],
        },
      },
      components,
    },
    null,
    2,
  )}\n`
}

/** Each package once, with all its places. */
function libraries({ packages, bundled }: BomParts): readonly (readonly [Dependency, readonly string[]])[] {
  const found = new Map<string, [Dependency, string[]]>()
  const add = (dependency: Dependency, place: string) => {
    const key = purl(dependency.name, dependency.version)
    const entry = found.get(key) ?? [dependency, []]
    entry[1].push(place)
    found.set(key, entry)
  }
  for (const each of packages) add(each, each.folder)
  for (const { place, packages: inside } of bundled) for (const each of inside) add(each, place)
  return [...found.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry)
}

function purl(name: string, version: string): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`
}

function digest(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}
