/** The headless package: command line, engine, loopback host and device agent, as an archive and for Debian. */
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  chmodSync,
  readdirSync,
} from "node:fs"
import path from "node:path"
import { faultsOfInstallation } from "./check-installation.ts"
import { debianArchitecture, makeDebianPackage } from "./debian.ts"
import { debianDependencies } from "./elf.ts"
import { LICENCES, makeInstallation, nativeFiles, readManifest } from "./installation.ts"
import { makeTarball } from "./tarball.ts"

const LIBRARY = "usr/lib/sealwright"
const COMMANDS = ["sealwright", "age-plugin-sealwright", "age-plugin-tag", "age-plugin-tagpq"]

/** Returns the files made. Throws when the folder may not be shipped. */
export function packHeadless(root: string, out: string, epoch: number): readonly string[] {
  const { name, version } = readManifest(root)
  const folder = path.join(out, `${name}-${version}-${process.platform}-${process.arch}`)
  makeInstallation({ root, to: folder, withPages: true, epoch })
  const faults = faultsOfInstallation(folder, root)
  if (faults.length > 0) throw new Error(`the installation may not be shipped:\n  ${faults.join("\n  ")}`)
  const archive = `${folder}.tar.gz`
  makeTarball(folder, archive, epoch)
  if (process.platform !== "linux") return [archive]
  const debian = path.join(out, `${name}_${version}_${debianArchitecture()}.deb`)
  packDebian(root, folder, debian, epoch)
  return [archive, debian]
}

function packDebian(root: string, folder: string, file: string, epoch: number): void {
  const { name, version, description } = readManifest(root)
  const tree = `${file}.tree`
  rmSync(tree, { recursive: true, force: true })
  const make = (place: string) => {
    mkdirSync(path.join(tree, place), { recursive: true, mode: 0o755 })
    return path.join(tree, place)
  }
  make("usr/lib")
  cpSync(folder, path.join(tree, LIBRARY), { recursive: true })
  const commands = make("usr/bin")
  for (const command of COMMANDS)
    symlinkSync(`../lib/sealwright/bin/${command}`, path.join(commands, command))
  const units = make("lib/systemd/system")
  const source = path.join(root, "packaging", "systemd")
  for (const unit of readdirSync(source).filter((each) => each.includes("@.")))
    copyFileSync(path.join(source, unit), path.join(units, unit))
  const papers = make(`usr/share/doc/${name}`)
  copyFileSync(path.join(root, "README.md"), path.join(papers, "README.md"))
  copyFileSync(path.join(source, "sealwright-runtime.conf"), path.join(papers, "sealwright-runtime.conf"))
  writeFileSync(path.join(papers, "copyright"), copyrightText(name))
  for (const place of [units, papers])
    for (const each of readdirSync(place)) chmodSync(path.join(place, each), 0o644)
  for (const place of [
    "",
    "usr",
    "usr/lib",
    "usr/bin",
    "usr/share",
    "usr/share/doc",
    `usr/share/doc/${name}`,
    "lib",
    "lib/systemd",
    "lib/systemd/system",
  ])
    chmodSync(path.join(tree, place), 0o755)
  makeDebianPackage(
    tree,
    file,
    {
      name,
      version,
      summary: "protects machine-learning models that leave for the edge",
      description: [
        description,
        "Command line, window in a browser of the same computer, and device agent. Brings its own Node.",
      ],
      section: "utils",
      depends: `${debianDependencies(nativeFiles(folder).map((each) => path.join(folder, each)))}, passwd`,
      recommends: "libtss2-esys-3.0.2-0, libtss2-tctildr0, libtss2-tcti-device0",
      scripts: { postinst: POSTINST, prerm: PRERM, postrm: POSTRM },
    },
    epoch,
  )
  rmSync(tree, { recursive: true })
}

function copyrightText(name: string): string {
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ${name}

Files: *
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.

Files: ${LIBRARY}/bin/node ${LIBRARY}/node_modules/* ${LIBRARY}/dist/*
License: various
 Each package, its version and its licence are in /${LIBRARY}/${LICENCES}.
`
}

/** The agent has an account and a folder of its own; the units start nothing until an instance is enabled. */
const POSTINST = `#!/bin/sh
set -e
if [ "$1" = configure ]; then
  if ! getent passwd sealwright >/dev/null; then
    useradd --system --user-group --home-dir /var/lib/sealwright --no-create-home --shell /usr/sbin/nologin sealwright
  fi
  # The TPM's device belongs to this group, where there is one.
  if getent group tss >/dev/null; then usermod --append --groups tss sealwright; fi
  for folder in /var/lib/sealwright /var/lib/sealwright/inbox /var/lib/sealwright/outbox; do
    install --directory --owner=sealwright --group=sealwright --mode=0700 "$folder"
  done
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
fi
`

const PRERM = `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl stop 'sealwright-device@*' 'sealwright-runtime@*'
fi
`

/** Keys and models are data: they go when the package is purged, not when it is removed. */
const POSTRM = `#!/bin/sh
set -e
if [ "$1" = purge ]; then
  rm -rf /var/lib/sealwright
  # Instances that were enabled: systemd's links to units that are gone.
  rm -f /etc/systemd/system/*.wants/sealwright-device@*.path /etc/systemd/system/*.wants/sealwright-runtime@*.service
  for folder in multi-user paths; do rmdir "/etc/systemd/system/$folder.target.wants" 2>/dev/null || true; done
  if getent passwd sealwright >/dev/null; then userdel sealwright; fi
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl reset-failed 'sealwright-*' 2>/dev/null || true
fi
`
