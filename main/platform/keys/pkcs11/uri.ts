/** PKCS #11 URIs (RFC 7512): which module, which token, which object. */
import { existsSync } from "node:fs"
import path from "node:path"
import { AppError } from "../../../contract/errors.ts"

export interface TokenTarget {
  /** Path of the module. */
  readonly module: string
  /** What the token must be called; a field that is null may be anything. */
  readonly token: string | null
  readonly serial: string | null
  readonly manufacturer: string | null
  readonly model: string | null
  readonly slotId: number | null
}

export interface KeyTarget extends TokenTarget {
  /** CKA_LABEL and CKA_ID. */
  readonly object: string | null
  readonly id: Uint8Array | null
}

/** Throws TOKEN_URI_INVALID for a text that is no such URI, asks for more than can be told apart here, or holds a PIN. */
export function parseUri(text: string): KeyTarget {
  const match = /^pkcs11:([^?]*)(?:\?(.*))?$/.exec(text)
  if (match === null) throw invalid("it does not start with pkcs11:")
  const attributes = parsePairs(match[1] ?? "", ";", PATH_ATTRIBUTES)
  const query = parsePairs(match[2] ?? "", "&", QUERY_ATTRIBUTES)
  // A PIN in a command line or a file is no secret, so that form does not exist here.
  if (query.has("pin-value") || query.has("pin-source")) throw invalid("a PIN is typed or read from --pin-fd")
  const type = textOf(attributes, "type")
  if (type !== null && type !== "private" && type !== "public")
    throw invalid("type is private, public or absent")
  const slotId = textOf(attributes, "slot-id")
  if (slotId !== null && !/^\d{1,19}$/.test(slotId)) throw invalid("slot-id is a number")
  return {
    module: findModule(textOf(query, "module-path"), textOf(query, "module-name")),
    token: textOf(attributes, "token"),
    serial: textOf(attributes, "serial"),
    manufacturer: textOf(attributes, "manufacturer"),
    model: textOf(attributes, "model"),
    slotId: slotId === null ? null : Number(slotId),
    object: textOf(attributes, "object"),
    id: attributes.get("id") ?? null,
  }
}

/** The URI of one key: what its record keeps. */
export function toUri(target: KeyTarget): string {
  const attributes = [
    ["token", target.token],
    ["serial", target.serial],
    ["manufacturer", target.manufacturer],
    ["model", target.model],
    ["slot-id", target.slotId === null ? null : String(target.slotId)],
    ["object", target.object],
  ] as const
  const parts = attributes.flatMap(([name, value]) =>
    value === null ? [] : [`${name}=${encode(Buffer.from(value, "utf8"))}`],
  )
  if (target.id !== null) parts.push(`id=${Buffer.from(target.id).toString("hex").replaceAll(/../g, "%$&")}`)
  return `pkcs11:${parts.join(";")}?module-path=${encode(Buffer.from(target.module, "utf8"))}`
}

const PATH_ATTRIBUTES = new Set([
  "token",
  "manufacturer",
  "serial",
  "model",
  "object",
  "type",
  "id",
  "slot-id",
])
const QUERY_ATTRIBUTES = new Set(["module-path", "module-name", "pin-source", "pin-value"])

/** Folders modules are installed in, for `module-name`. */
const MODULE_FOLDERS = [
  "/usr/lib/x86_64-linux-gnu/pkcs11",
  "/usr/lib/aarch64-linux-gnu/pkcs11",
  "/usr/lib/pkcs11",
  "/usr/lib64/pkcs11",
  "/usr/lib/softhsm",
  "/usr/lib/x86_64-linux-gnu/softhsm",
  "/usr/lib/x86_64-linux-gnu",
  "/usr/local/lib",
]

function findModule(modulePath: string | null, moduleName: string | null): string {
  if (modulePath !== null) {
    if (!path.isAbsolute(modulePath)) throw invalid("module-path is an absolute path")
    return modulePath
  }
  if (moduleName === null || !/^[A-Za-z0-9_.-]+$/.test(moduleName))
    throw invalid("it names no module: add ?module-path=/…")
  const names = [`lib${moduleName}.so`, `${moduleName}.so`, `${moduleName}-pkcs11.so`]
  const found = MODULE_FOLDERS.flatMap((folder) => names.map((name) => path.join(folder, name))).find(
    (file) => existsSync(file),
  )
  if (found === undefined) throw invalid(`no module ${moduleName} is installed`)
  return found
}

/** Attributes by name, percent-decoded. RFC 7512 2.3: none twice, and none whose meaning would be ignored, but vendors' own. */
function parsePairs(text: string, separator: string, known: ReadonlySet<string>): Map<string, Uint8Array> {
  const out = new Map<string, Uint8Array>()
  for (const pair of text === "" ? [] : text.split(separator)) {
    const at = pair.indexOf("=")
    const name = pair.slice(0, Math.max(0, at))
    if (at <= 0 || out.has(name)) throw invalid("an attribute is empty or stands twice")
    if (name.startsWith("x-")) continue
    if (!known.has(name)) throw invalid(`the attribute ${name.slice(0, 40)} is unknown`)
    out.set(name, decode(pair.slice(at + 1)))
  }
  return out
}

function decode(text: string): Uint8Array {
  if (!/^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=&/?|]|%[0-9A-Fa-f]{2})*$/.test(text))
    throw invalid("an attribute has characters to escape")
  const bytes = text.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Uint8Array.from(Buffer.from(bytes, "latin1"))
}

function encode(bytes: Uint8Array): string {
  return [...bytes]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      return /[A-Za-z0-9\-._~/]/.test(character) ? character : `%${byte.toString(16).padStart(2, "0")}`
    })
    .join("")
}

function textOf(attributes: ReadonlyMap<string, Uint8Array>, name: string): string | null {
  const bytes = attributes.get(name)
  return bytes === undefined ? null : Buffer.from(bytes).toString("utf8")
}

function invalid(reason: string): AppError {
  return new AppError("TOKEN_URI_INVALID", `the PKCS#11 URI cannot be used: ${reason}`)
}
