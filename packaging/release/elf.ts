/** What a Linux program asks of the system it runs on, read from the file itself. */
import { readFileSync } from "node:fs"

export type Format =
  { readonly kind: "elf"; readonly arch: string } | { readonly kind: "pe" } | { readonly kind: "mach-o" }

const MACHINES: Readonly<Record<number, string>> = { 62: "x64", 183: "arm64" }

/** By the first bytes; `null` for a file that is no program. */
export function formatOf(bytes: Uint8Array): Format | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 64) return null
  const magic = view.getUint32(0)
  if (magic === 0x7f454c46) return { kind: "elf", arch: MACHINES[view.getUint16(18, true)] ?? "unknown" }
  if (bytes[0] === 0x4d && bytes[1] === 0x5a) return { kind: "pe" }
  const isMachO = [0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe, 0xcafebabe].includes(magic)
  return isMachO ? { kind: "mach-o" } : null
}

/** Debian 12 and later name the release of each runtime library after these symbols. */
const LIBSTDCXX: Readonly<Record<number, string>> = {
  26: "9",
  27: "9",
  28: "9",
  29: "11",
  30: "12",
  31: "13",
  32: "13",
  33: "14",
}

/**
 * The newest versions of glibc and libstdc++ whose symbols these files need, as the `Depends:` of a Debian package. Symbol
 * versions stand as text in every dynamic file; one that is linked statically needs neither.
 */
export function debianDependencies(files: readonly string[]): string {
  let glibc = 0
  let libstdcxx = 0
  for (const file of files) {
    const text = readFileSync(file, "latin1")
    if (!text.includes("\0libc.so.6\0")) continue
    for (const [, minor] of text.matchAll(/\0GLIBC_2\.(\d+)(?=[.\0])/g))
      glibc = Math.max(glibc, Number(minor))
    for (const [, minor] of text.matchAll(/\0GLIBCXX_3\.4\.(\d+)\0/g))
      libstdcxx = Math.max(libstdcxx, Number(minor))
  }
  const release = LIBSTDCXX[libstdcxx] ?? (libstdcxx < 26 ? "8" : null)
  if (release === null) throw new Error(`GLIBCXX_3.4.${libstdcxx} belongs to no known libstdc++`)
  return `libc6 (>= 2.${glibc}), libstdc++6 (>= ${release}), libgcc-s1`
}
