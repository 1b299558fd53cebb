/** The desktop program for this system, from a folder with Electron's distribution: unpacked, as an archive and for Debian. */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import path from "node:path"
import { build, Platform } from "electron-builder"
import { debianArchitecture, makeDebianPackage } from "./debian.ts"
import { debianDependencies } from "./elf.ts"
import { LICENCES, makeInstallation, nativeFiles, readManifest } from "./installation.ts"
import { makeTarball } from "./tarball.ts"

const DESKTOP_NAME = "sealwright-desktop"

/** Returns the files made. Throws when something may not be shipped. The configuration is electron-builder.yml. */
export async function packDesktop(
  root: string,
  electronDist: string,
  out: string,
  epoch: number,
): Promise<readonly string[]> {
  const { name, version, description } = readManifest(root)
  const stage = path.join(root, "dist", "package")
  makeInstallation({ root, to: path.join(stage, "engine"), withPages: false, epoch })
  stageApp(root, path.join(stage, "app"), { name: "sealwright-desktop", version, description })
  rmSync(path.join(stage, "desktop"), { recursive: true, force: true })
  await build({
    projectDir: root,
    targets: Platform.current().createTarget("dir"),
    config: { extends: path.join(root, "electron-builder.yml"), electronDist },
    publish: "never",
  })
  if (process.platform !== "linux") return [path.join(stage, "desktop")]
  const unpacked = path.join(stage, "desktop", "linux-unpacked")
  const folder = path.join(out, `${name}-desktop-${version}-linux-${process.arch}`)
  rmSync(folder, { recursive: true, force: true })
  cpSync(unpacked, folder, { recursive: true, verbatimSymlinks: true })
  makeTarball(folder, `${folder}.tar.gz`, epoch)
  const debian = path.join(out, `${name}-desktop_${version}_${debianArchitecture()}.deb`)
  packDebian(root, folder, debian, epoch)
  return [folder, `${folder}.tar.gz`, debian]
}

/** Only what goes into the archive; its manifest names no packages. */
function stageApp(root: string, to: string, about: Readonly<Record<string, string>>): void {
  rmSync(to, { recursive: true, force: true })
  for (const part of ["shell", "renderer"]) {
    if (!existsSync(path.join(root, "dist", part))) throw new Error(`dist/${part} is not built`)
    cpSync(path.join(root, "dist", part), path.join(to, part), { recursive: true })
  }
  const manifest = {
    ...about,
    author: "Sealwright",
    license: "Apache-2.0",
    private: true,
    type: "module",
    main: "shell/main.js",
    // What X11 calls the window's class and Wayland its program: the name of the entry it belongs to.
    desktopName: `${DESKTOP_NAME}.desktop`,
  }
  writeFileSync(path.join(to, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`)
}

function packDebian(root: string, folder: string, file: string, epoch: number): void {
  const { name, version, description } = readManifest(root)
  const tree = `${file}.tree`
  rmSync(tree, { recursive: true, force: true })
  const put = (text: string, place: string) => {
    mkdirSync(path.dirname(path.join(tree, place)), { recursive: true })
    writeFileSync(path.join(tree, place), text)
  }
  mkdirSync(path.join(tree, "opt"), { recursive: true })
  cpSync(folder, path.join(tree, "opt/Sealwright"), { recursive: true, verbatimSymlinks: true })
  // Where the kernel gives ordinary users no namespaces, Chromium's sandbox needs this helper to be root's.
  const helper = path.join(tree, "opt/Sealwright/chrome-sandbox")
  if (existsSync(helper)) chmodSync(helper, 0o4755)
  put(DESKTOP_ENTRY, `usr/share/applications/${DESKTOP_NAME}.desktop`)
  put(MIME_TYPE, "usr/share/mime/packages/sealwright-desktop.xml")
  const icon = "usr/share/icons/hicolor/scalable/apps/sealwright-desktop.svg"
  mkdirSync(path.dirname(path.join(tree, icon)), { recursive: true })
  copyFileSync(path.join(root, "renderer", "public", "icon.svg"), path.join(tree, icon))
  put(
    `Apache-2.0; Electron and Chromium: /opt/Sealwright/LICENSE*.\nPackages: /opt/Sealwright/resources/engine/${LICENCES}\n`,
    "usr/share/doc/sealwright-desktop/copyright",
  )
  mkdirSync(path.join(tree, "usr/bin"), { recursive: true })
  symlinkSync("/opt/Sealwright/sealwright-desktop", path.join(tree, "usr/bin/sealwright-desktop"))
  const engine = path.join(folder, "resources", "engine")
  const natives = nativeFiles(engine).map((each) => path.join(engine, each))
  makeDebianPackage(
    tree,
    file,
    {
      name: `${name}-desktop`,
      version,
      summary: "protects machine-learning models, in a window",
      description: [description],
      section: "utils",
      depends: `${debianDependencies(natives.filter((each) => statSync(each).isFile()))}, libgtk-3-0 | libgtk-3-0t64, libnss3, libxss1, libxtst6, libatspi2.0-0, libnotify4, xdg-utils`,
      recommends: "libtss2-esys-3.0.2-0, libtss2-tctildr0, libtss2-tcti-device0",
      scripts: {},
    },
    epoch,
  )
  rmSync(tree, { recursive: true })
}

const DESKTOP_ENTRY = `[Desktop Entry]
Type=Application
Name=Sealwright
Comment=Protects machine-learning models that leave for the edge
Exec=/opt/Sealwright/sealwright-desktop %F
Icon=sealwright-desktop
Categories=Development;
MimeType=application/vnd.sealwright.seal;
StartupWMClass=${DESKTOP_NAME}
Terminal=false
`

const MIME_TYPE = `<?xml version="1.0" encoding="UTF-8"?>
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="application/vnd.sealwright.seal">
    <comment>Sealwright package</comment>
    <glob pattern="*.seal"/>
  </mime-type>
</mime-info>
`
