/** Notes which npm packages a bundle is made of: their licences and names travel with it. */
import { mkdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import type { Plugin } from "vite"

/** Writes the packages' folders, relative to `root`, as a JSON list to `file`. */
export function noteBundledPackages(root: string, file: string): Plugin {
  return {
    name: "note-bundled-packages",
    generateBundle(_options, bundle) {
      const folders = new Set<string>()
      for (const part of Object.values(bundle)) {
        if (part.type !== "chunk") continue
        for (const module of part.moduleIds) {
          const match = /^[^?]*node_modules\/(?:@[^/]+\/)?[^/?]+/.exec(module.replace(/^\0/, ""))
          if (match !== null) folders.add(path.relative(root, match[0]))
        }
      }
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, `${JSON.stringify([...folders].sort(), null, 2)}\n`)
    },
  }
}
