import { execFileSync } from "node:child_process"
import { generateKeyPairSync, sign, X509Certificate, type KeyObject } from "node:crypto"
import { writeFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, it } from "vitest"
import {
  createCertificateRequest,
  readCertificateRequest,
} from "../../../main/core/attest/certificate-request.ts"
import { readCertificate, type Certificate } from "../../../main/core/attest/certificate.ts"
import { judgeChain } from "../../../main/core/attest/chain.ts"
import type { Signer } from "../../../main/core/attest/dsse.ts"
import {
  issueAuthority,
  issueDeviceCertificate,
  type Authority,
} from "../../../main/core/attest/issue-certificate.ts"
import {
  issueRevocationList,
  judgeRevocation,
  readRevocationList,
} from "../../../main/core/attest/revocation-list.ts"
import { CA, issue, onDay, SIGNER } from "../../support/certificates.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const now = new Date("2026-01-10T00:00:00Z")
const validity = { notBefore: new Date("2026-01-01T00:00:00Z"), notAfter: new Date("2027-01-01T00:00:00Z") }

describe("certificates of a workspace's authority", () => {
  it("pass OpenSSL's chain check, with the two usages apart", async () => {
    const { authority, leaf } = await deviceCertificate("signing")
    const folder = temporaryFolder()
    const ca = write(folder, "ca.pem", pem(authority.certificate))
    const certificate = write(folder, "device.pem", pem(leaf))
    const verified = openssl(["verify", "-x509_strict", "-attime", seconds(now), "-CAfile", ca, certificate])
    expect(verified).toContain("device.pem: OK")
    const text = openssl(["x509", "-in", certificate, "-noout", "-text"])
    expect(text).toContain("CA:FALSE")
    expect(text).toContain("Digital Signature")
    expect(text).not.toContain("Key Agreement")
    expect(text).toMatch(/Subject:.*CN = press-07.*serialNumber = board-0017/)
  })

  it("serve their own purpose only", async () => {
    const { authority, leaf } = await deviceCertificate("decryption")
    const chain = [read(leaf)] as const
    const pinned = [read(authority.certificate)]
    expect(judgeChain(chain, pinned, now, "device-decryption").kind).toBe("trusted")
    expect(judgeChain(chain, pinned, now, "device-signing")).toMatchObject({ problem: "wrong-usage" })
  })

  it("are told apart by what is wrong with them", async () => {
    const { authority, leaf } = await deviceCertificate("signing")
    const pinned = [read(authority.certificate)]
    const judge = (at: Date, trusted = pinned) => judgeChain([read(leaf)], trusted, at, "device-signing")
    expect(judge(new Date("2025-12-31T23:59:59Z"))).toMatchObject({ problem: "not-yet-valid" })
    expect(judge(new Date("2027-01-01T00:00:01Z"))).toMatchObject({ problem: "expired" })
    expect(judge(now, [])).toMatchObject({ problem: "unknown-issuer" })
    const stranger = await authorityOf("Stranger")
    expect(judge(now, [read(stranger.certificate)])).toMatchObject({ problem: "unknown-issuer" })
  })

  it("are not issued with another key than the authority's", async () => {
    const authority = await authorityOf("Workshop")
    const wrong = { certificate: authority.certificate, signer: signerOf(newKey()) }
    await expect(issueDeviceCertificate(wrong, fields("signing", newKey()))).toFailWithCode("KEY_PURPOSE")
  })
})

describe("a revocation list", () => {
  it("is one OpenSSL believes, and refuses the certificate it names", async () => {
    const { authority, leaf, serial } = await deviceCertificate("signing")
    const list = await issueRevocationList(authority, [{ serial, at: now }], 200, window(now))
    const folder = temporaryFolder()
    const args = ["verify", "-crl_check", "-attime", seconds(now), "-CAfile"]
    const files = [write(folder, "ca.pem", pem(authority.certificate)), "-CRLfile", crlFile(folder, list)]
    expect(() => openssl([...args, ...files, write(folder, "device.pem", pem(leaf))])).toThrow(/revoked/)
    const path = [read(leaf), read(authority.certificate)]
    expect(await judgeRevocation(path, [readRevocationList(list)], now)).toMatchObject({ kind: "revoked" })
  })

  it("lets every other certificate pass, in OpenSSL too", async () => {
    const { authority, leaf } = await deviceCertificate("signing")
    const list = await issueRevocationList(authority, [{ serial: "0102", at: now }], 1, window(now))
    const folder = temporaryFolder()
    const ca = write(folder, "ca.pem", pem(authority.certificate))
    const device = write(folder, "device.pem", pem(leaf))
    const args = ["verify", "-crl_check", "-attime", seconds(now), "-CAfile", ca]
    expect(openssl([...args, "-CRLfile", crlFile(folder, list), device])).toContain("OK")
    const path = [read(leaf), read(authority.certificate)]
    expect(await judgeRevocation(path, [readRevocationList(list)], now)).toEqual({ kind: "good" })
  })

  it("counts only while it is current and from the issuer itself", async () => {
    const { authority, leaf, serial } = await deviceCertificate("signing")
    const old = await issueRevocationList(authority, [], 1, window(new Date("2025-11-01T00:00:00Z")))
    const stranger = await authorityOf("Workshop")
    const forged = await issueRevocationList(stranger, [{ serial, at: now }], 2, window(now))
    const path = [read(leaf), read(authority.certificate)]
    for (const lists of [[], [old], [forged]])
      expect(await judgeRevocation(path, lists.map(readRevocationList), now)).toMatchObject({
        kind: "unknown",
      })
  })

  it("made by OpenSSL is read as well", async () => {
    const root = issue({ name: "root", extensions: [...CA, "subjectKeyIdentifier=hash"] })
    const leaf = issue({ name: "leaf", issuer: root, extensions: SIGNER })
    const folder = temporaryFolder()
    write(folder, "index.txt", `R\t300101000000Z\t260101000000Z\t07\tunknown\t/CN=leaf\n`)
    write(folder, "crlnumber", "01\n")
    const config = write(
      folder,
      "ca.cnf",
      `[ca]\ndefault_ca=d\n[d]\ndatabase=${folder}/index.txt\ncrlnumber=${folder}/crlnumber\ndefault_md=sha256\ndefault_crl_days=30\n`,
    )
    const key = write(folder, "key.pem", root.privateKey.export({ type: "pkcs8", format: "pem" }).toString())
    const cert = write(folder, "root.pem", root.pem)
    const list = openssl(["ca", "-gencrl", "-config", config, "-keyfile", key, "-cert", cert])
    const der = Buffer.from(list.replaceAll(/-----[^-]+-----|\s/g, ""), "base64")
    // This root may not sign lists: its keyUsage says keyCertSign alone.
    const path = [read(leaf.der), read(root.der)]
    expect(await judgeRevocation(path, [readRevocationList(der)], onDay(1))).toMatchObject({
      kind: "unknown",
    })
    const free = { ...read(root.der), mayRevoke: true }
    expect(await judgeRevocation([path[0] ?? free, free], [readRevocationList(der)], onDay(1))).toMatchObject(
      {
        kind: "revoked",
      },
    )
  })

  it("that cannot be read is an error", async () => {
    await expect(() => readRevocationList(Buffer.from("3003020101", "hex"))).toFailWithCode(
      "CERTIFICATE_MALFORMED",
    )
  })
})

describe("a certificate request", () => {
  it("is one OpenSSL verifies", async () => {
    const request = await createCertificateRequest("CN=release-1, O=Example", signerOf(newKey()))
    const file = write(temporaryFolder(), "request.pem", request)
    expect(openssl(["req", "-in", file, "-noout", "-verify", "-subject"])).toMatch(
      /CN = release-1, O = Example/,
    )
  })

  it("made by OpenSSL proves possession of its key", async () => {
    const folder = temporaryFolder()
    const key = newKey()
    const keyFile = write(folder, "key.pem", key.export({ type: "pkcs8", format: "pem" }).toString())
    const der = execFileSync("openssl", ["req", "-new", "-key", keyFile, "-subj", "/CN=x", "-outform", "DER"])
    const request = await readCertificateRequest(der)
    expect(request.subject).toBe("CN=x")
    expect(request.publicKey.equals(publicOf(key))).toBe(true)
    const forged = Buffer.from(der)
    forged[der.indexOf("x")] = "y".charCodeAt(0)
    await expect(readCertificateRequest(forged)).toFailWithCode("SIGNATURE_INVALID")
  })

  it("needs a subject", async () => {
    for (const subject of ["", "release-1", "CN"])
      await expect(createCertificateRequest(subject, signerOf(newKey()))).toFailWithCode("USAGE")
  })
})

async function deviceCertificate(usage: "signing" | "decryption") {
  const authority = await authorityOf("Workshop")
  const wanted = fields(usage, newKey())
  return { authority, leaf: await issueDeviceCertificate(authority, wanted), serial: wanted.serial }
}

function fields(usage: "signing" | "decryption", key: KeyObject) {
  return {
    device: "press-07",
    hardwareId: "board-0017",
    usage,
    publicKeyPem: publicOf(key).export({ type: "spki", format: "pem" }).toString(),
    serial: "0badc0de",
    validity,
  }
}

async function authorityOf(name: string): Promise<Authority> {
  const signer = signerOf(newKey())
  return { certificate: await issueAuthority(name, "01", validity, signer), signer }
}

function signerOf(key: KeyObject): Signer {
  const publicKeyPem = publicOf(key).export({ type: "spki", format: "pem" }).toString()
  return { publicKeyPem: () => publicKeyPem, sign: async (message) => sign("sha256", message, key) }
}

const publicKeys = new WeakMap<KeyObject, KeyObject>()

function newKey(): KeyObject {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  publicKeys.set(privateKey, publicKey)
  return privateKey
}

function publicOf(key: KeyObject): KeyObject {
  const found = publicKeys.get(key)
  if (found === undefined) throw new Error("not a key of this test")
  return found
}

function window(thisUpdate: Date) {
  return { thisUpdate, nextUpdate: new Date(thisUpdate.getTime() + 30 * 86_400_000) }
}

function read(der: Uint8Array): Certificate {
  const certificate = readCertificate(der)
  if (certificate === null) throw new Error("not a certificate")
  return certificate
}

function pem(der: Uint8Array): string {
  return new X509Certificate(der).toString()
}

function crlFile(folder: string, der: Uint8Array): string {
  const raw = write(folder, "list.der", der)
  return write(folder, "list.pem", openssl(["crl", "-inform", "DER", "-in", raw]))
}

function write(folder: string, name: string, content: string | Uint8Array): string {
  const file = path.join(folder, name)
  writeFileSync(file, content)
  return file
}

function seconds(date: Date): string {
  return String(Math.floor(date.getTime() / 1000))
}

function openssl(args: readonly string[]): string {
  return execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
}
