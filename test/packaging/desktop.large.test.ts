/**
 * The desktop program around a stand-in for Electron's distribution: any program with Electron's place for fuses in it. What is packed,
 * checked and fused is the real thing; that it opens a window is for test/electron/launch.test.ts, where Electron is at hand.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import path from "node:path"
import { createPackage, extractFile } from "@electron/asar"
import { beforeAll, expect, test } from "vitest"
import { faultsOfFuses, faultsOfResources } from "../../packaging/release/check-desktop.ts"
import { packDesktop } from "../../packaging/release/desktop.ts"
import { run } from "../../packaging/release/tarball.ts"
import { ROOT, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const dist = path.join(folder, "electron")
let made: readonly string[] = []

beforeAll(async () => {
  mkdirSync(path.join(dist, "resources"), { recursive: true })
  mkdirSync(path.join(dist, "locales"))
  for (const name of ["de.pak", "en-US.pak"]) writeFileSync(path.join(dist, "locales", name), "")
  mkdirSync(path.join(folder, "default"))
  writeFileSync(path.join(folder, "default", "main.js"), "")
  await createPackage(path.join(folder, "default"), path.join(dist, "resources", "default_app.asar"))
  // Electron's sentinel, the version of the wire, the number of fuses, and each as it leaves Electron's makers.
  const fuses = Buffer.concat([
    Buffer.from("dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX"),
    Buffer.from([1, 9]),
    Buffer.from("101100111"),
  ])
  const elf = readFileSync("/bin/true")
  writeFileSync(
    path.join(dist, "electron"),
    Buffer.concat([elf, Buffer.alloc(16), fuses, Buffer.alloc(64)]),
    { mode: 0o755 },
  )
  for (const name of ["LICENSE", "LICENSES.chromium.html", "chrome-sandbox"])
    writeFileSync(path.join(dist, name), "", { mode: 0o755 })
  writeFileSync(path.join(dist, "version"), "45.5.0")
  made = await packDesktop(ROOT, dist, folder, 1_700_000_000)
}, 600_000)

test("is packed with its fuses set, its engine beside it, and nothing of Electron's own", async () => {
  expect(made.map((file) => path.basename(file).replace(/-\d.*|_\d.*/, ""))).toEqual([
    "sealwright-desktop",
    "sealwright-desktop",
    "sealwright-desktop",
  ])
  expect(await faultsOfFuses(path.join(made[0] ?? "", "sealwright-desktop"))).toEqual([])
  expect(faultsOfResources(path.join(made[0] ?? "", "resources"), ROOT)).toEqual([])
  const listing = run("dpkg-deb", ["--contents", made[2] ?? ""])
  expect(listing).toMatch(/-rwsr-xr-x root\/root .* \.\/opt\/Sealwright\/chrome-sandbox/)
  expect(listing).toContain("./usr/share/mime/packages/sealwright-desktop.xml")
  expect(listing).toContain("./opt/Sealwright/resources/engine/bin/node")
  expect(statSync(made[1] ?? "").size).toBeGreaterThan(10_000_000)
})

test("belongs to files that end in .seal, to its entry in the menu, and to no kind of link", () => {
  const out = path.join(folder, "unpacked")
  run("dpkg-deb", ["--extract", made[2] ?? "", out])
  const entry = readFileSync(path.join(out, "usr/share/applications/sealwright-desktop.desktop"), "utf8")
  expect(entry).toContain("\nMimeType=application/vnd.sealwright.seal;\n")
  expect(entry).toContain("\nExec=/opt/Sealwright/sealwright-desktop %F\n")
  expect(entry).not.toContain("x-scheme-handler")
  const type = readFileSync(path.join(out, "usr/share/mime/packages/sealwright-desktop.xml"), "utf8")
  expect(type).toContain('<mime-type type="application/vnd.sealwright.seal">')
  expect(type).toContain('<glob pattern="*.seal"/>')
  const archive = path.join(out, "opt/Sealwright/resources/app.asar")
  const manifest = JSON.parse(extractFile(archive, "package.json").toString("utf8")) as {
    readonly desktopName: string
  }
  // Electron names the window's class for it.
  expect(`${/\nStartupWMClass=(.*)\n/.exec(entry)?.[1] ?? ""}.desktop`).toBe(manifest.desktopName)
  expect(existsSync(path.join(out, "usr/share/applications", manifest.desktopName))).toBe(true)
})

test("that has other fuses, or more in it than belongs there, is refused", async () => {
  expect(await faultsOfFuses(path.join(dist, "electron"))).toHaveLength(8)
  const more = path.join(folder, "more-fuses")
  writeFileSync(
    more,
    Buffer.concat([
      Buffer.from("dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX"),
      Buffer.from([1, 10]),
      Buffer.from("0100110011"),
    ]),
  )
  expect(await faultsOfFuses(more)).toEqual(["nothing says how the fuse 9 must be"])
  const resources = path.join(made[0] ?? "", "resources")
  writeFileSync(path.join(resources, "default_app.asar"), "")
  mkdirSync(path.join(resources, "app"))
  expect(faultsOfResources(resources, ROOT)).toHaveLength(2)
  expect(readdirSync(resources)).toContain("app.asar")
})
