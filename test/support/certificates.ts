/** X.509 certificates for tests, issued by the openssl command, which is not the code that will judge them. */
import { execFileSync } from "node:child_process"
import { generateKeyPairSync, X509Certificate, type KeyObject } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"

export interface Issued {
  readonly pem: string
  readonly der: Uint8Array
  readonly privateKey: KeyObject
}

export interface Wanted {
  readonly name: string
  /** `null`: self-signed. */
  readonly issuer?: Issued | null
  /** Lines of openssl's extension file. */
  readonly extensions?: readonly string[]
  readonly privateKey?: KeyObject
  /** From now on; tests choose the time they judge at relative to this. */
  readonly days?: number
  readonly hash?: "sha256" | "sha1"
}

export const CA = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"]
export const SIGNER = ["keyUsage=critical,digitalSignature", "extendedKeyUsage=codeSigning"]

export function issue({
  name,
  issuer = null,
  extensions = [],
  privateKey,
  days = 1000,
  hash = "sha256",
}: Wanted): Issued {
  const key = privateKey ?? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
  return withFiles((file) => {
    const keyFile = file("key.pem", toPem(key))
    const request = file("request.pem", openssl(["req", "-new", "-key", keyFile, "-subj", `/CN=${name}`]))
    const by = issuer === null ? ["-signkey", keyFile] : signedBy(issuer, file)
    const pem = openssl([...signing(request, { extensions, days, hash }, file), ...by])
    return { pem, der: new X509Certificate(pem).raw, privateKey: key }
  })
}

/** What an authority sends back for the request in a file: a certificate for that key and subject. */
export function answerRequest(
  request: string,
  issuer: Issued,
  { extensions = SIGNER, days = 100, hash = "sha256" }: Pick<Wanted, "extensions" | "days" | "hash"> = {},
): string {
  return withFiles((file) =>
    openssl([...signing(request, { extensions, days, hash }, file), ...signedBy(issuer, file)]),
  )
}

type Write = (name: string, text: string) => string

function signing(
  request: string,
  { extensions, days, hash }: Required<Pick<Wanted, "extensions" | "days" | "hash">>,
  file: Write,
): readonly string[] {
  const lines = file("extensions", `${extensions.join("\n")}\n`)
  return ["x509", "-req", "-in", request, "-days", String(days), `-${hash}`, "-extfile", lines]
}

function signedBy(issuer: Issued, file: Write): readonly string[] {
  const key = file("ca-key.pem", toPem(issuer.privateKey))
  return ["-CA", file("ca.pem", issuer.pem), "-CAkey", key, "-set_serial", "7"]
}

/** OpenSSL reads files; they are gone afterwards. */
function withFiles<T>(use: (file: Write) => T): T {
  const folder = mkdtempSync(path.join(tmpdir(), "sealwright-ca-"))
  try {
    return use((name, text) => {
      const place = path.join(folder, name)
      writeFileSync(place, text, { mode: 0o600 })
      return place
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A time within the validity of everything issued in this run with `days` beyond `day`. */
export function onDay(day: number): Date {
  return new Date(Date.now() + day * 86_400_000)
}

function openssl(args: readonly string[]): string {
  return execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
}

function toPem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString()
}
