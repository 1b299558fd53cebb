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
  const folder = mkdtempSync(path.join(tmpdir(), "sealwright-ca-"))
  const file = (fileName: string, text: string) => {
    const place = path.join(folder, fileName)
    writeFileSync(place, text, { mode: 0o600 })
    return place
  }
  try {
    const keyFile = file("key.pem", toPem(key))
    const request = openssl(["req", "-new", "-key", keyFile, "-subj", `/CN=${name}`])
    const signWith =
      issuer === null
        ? ["-signkey", keyFile]
        : [
            "-CA",
            file("ca.pem", issuer.pem),
            "-CAkey",
            file("ca-key.pem", toPem(issuer.privateKey)),
            "-set_serial",
            "7",
          ]
    const options = [
      "-days",
      String(days),
      `-${hash}`,
      "-extfile",
      file("extensions", `${extensions.join("\n")}\n`),
    ]
    const pem = openssl(["x509", "-req", "-in", file("request.pem", request), ...signWith, ...options])
    return { pem, der: new X509Certificate(pem).raw, privateKey: key }
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
