/** Debian packages through dpkg-deb alone: a tree, a control file, digests, and scripts where something must be done. */
import { createHash } from "node:crypto"
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { run } from "./tarball.ts"

export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly summary: string
  /** Paragraphs. */
  readonly description: readonly string[]
  readonly depends: string
  readonly recommends: string
  readonly section: string
  /** What dpkg runs, by its names: postinst, prerm, postrm. */
  readonly scripts: Readonly<Record<string, string>>
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" }

export function debianArchitecture(): string {
  return ARCHITECTURES[process.arch] ?? process.arch
}

/** `tree`: the root of what will be installed; DEBIAN is written into it. */
export function makeDebianPackage(tree: string, file: string, about: DebianPackage, epoch: number): void {
  const control = path.join(tree, "DEBIAN")
  const files = [...listFiles(tree)]
  mkdirSync(control, { recursive: true })
  writeFileSync(
    path.join(control, "control"),
    [
      `Package: ${about.name}`,
      `Version: ${about.version}`,
      `Architecture: ${debianArchitecture()}`,
      "Maintainer: Sealwright <maintainers@sealwright.invalid>",
      `Installed-Size: ${Math.ceil(files.reduce((sum, name) => sum + lstatSync(path.join(tree, name)).size, 0) / 1024)}`,
      `Section: ${about.section}`,
      "Priority: optional",
      `Depends: ${about.depends}`,
      `Recommends: ${about.recommends}`,
      `Description: ${about.summary}`,
      ...about.description.flatMap((paragraph, index) => [...(index === 0 ? [] : [" ."]), ` ${paragraph}`]),
      "",
    ].join("\n"),
  )
  writeFileSync(
    path.join(control, "md5sums"),
    files
      .filter((name) => lstatSync(path.join(tree, name)).isFile())
      .map(
        (name) =>
          `${createHash("md5")
            .update(readFileSync(path.join(tree, name)))
            .digest("hex")}  ${name}\n`,
      )
      .join(""),
  )
  for (const [name, text] of Object.entries(about.scripts)) {
    writeFileSync(path.join(control, name), text)
    chmodSync(path.join(control, name), 0o755)
  }
  for (const name of ["control", "md5sums"]) chmodSync(path.join(control, name), 0o644)
  chmodSync(control, 0o755)
  run("dpkg-deb", ["--root-owner-group", "-Zzstd", "-z9", "--threads-max=1", "--build", tree, file], {
    SOURCE_DATE_EPOCH: String(epoch),
  })
}

/** Files and links below a folder, relative, sorted. */
function* listFiles(root: string, folder = ""): Generator<string> {
  for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    const name = path.posix.join(folder, entry.name)
    if (entry.isDirectory()) yield* listFiles(root, name)
    else yield name
  }
}
