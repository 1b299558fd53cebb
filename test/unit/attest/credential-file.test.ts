import { execFileSync } from "node:child_process"
import { createPublicKey, generateKeyPairSync, X509Certificate, type KeyObject } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import forge from "node-forge"
import { describe, expect, it, vi } from "vitest"
import { readCredentialFile } from "../../../main/core/attest/credential-file.ts"
import { CA, issue, SIGNER, type Issued } from "../../support/certificates.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const root = issue({ name: "root", extensions: CA })
const between = issue({ name: "between", issuer: root, extensions: CA })
const leaf = issue({ name: "leaf", issuer: between, extensions: SIGNER })

describe("a PKCS#12 file made by OpenSSL", () => {
  it.each([
    ["with its own ciphers", []],
    ["in the old form of browsers", ["-legacy", "-macalg", "sha1"]],
    ["without encryption", ["-keypbe", "NONE", "-certpbe", "NONE"]],
  ])("gives an EC key and its chain, leaf first, %s", (_name, options) => {
    const found = readCredentialFile(pkcs12(leaf, [root, between], "open sesame", options), "open sesame")
    expectKey(found.privateKey, leaf)
    expect(found.chain.map(nameOf)).toEqual(["CN=leaf", "CN=between", "CN=root"])
  })

  it("gives an RSA key as well", () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
    const rsa = issue({ name: "rsa", issuer: root, extensions: SIGNER, privateKey })
    const found = readCredentialFile(pkcs12(rsa, [], "x", []), "x")
    expectKey(found.privateKey, rsa)
    expect(found.chain.map(nameOf)).toEqual(["CN=rsa"])
  })

  it("does not open with another passphrase", async () => {
    const file = pkcs12(leaf, [], "right", [])
    for (const wrong of ["", "wrong", "right "])
      await expect(() => readCredentialFile(file, wrong)).toFailWithCode("CREDENTIAL_PASSPHRASE")
  })

  it("that wants its passphrase hashed too often is refused before that is done", async () => {
    const refuse = async (file: Buffer, places: readonly number[]) => {
      const costly = Buffer.from(file)
      for (const place of places) costly.write("7fffff", place + 2, "hex")
      await expect(() => readCredentialFile(costly, "right")).toFailWithCode("CERTIFICATE_MALFORMED")
    }
    // 65,537 as DER has it, made 8,388,607: in the MAC, which is judged first, and without one in the layers that show.
    const wanted = Buffer.from("0203010001", "hex")
    for (const options of [[], ["-legacy", "-macalg", "sha1"]]) {
      const file = pkcs12(leaf, [], "right", [...options, "-iter", "65537"])
      await refuse(file, placesOf(file, wanted).slice(-1))
      const bare = pkcs12(leaf, [], "right", [...options, "-iter", "65537", "-nomac"])
      const places = placesOf(bare, wanted)
      expect(places.length).toBeGreaterThan(0)
      for (const place of places) await refuse(bare, [place])
    }
    const some = pkcs12(leaf, [], "right", ["-iter", "20000"])
    expectKey(readCredentialFile(some, "right").privateKey, leaf)
  })

  it.each([
    ["its key", ["-certpbe", "NONE"]],
    ["its certificates", ["-keypbe", "NONE"]],
  ])("that is good but for the cost of %s is refused before that is spent", async (_name, options) => {
    // A MAC that holds and is cheap; 1,000,001 rounds for the layer behind it.
    const file = pkcs12(leaf, [], "right", [...options, "-iter", "1000001", "-nomaciter"])
    const hashes = countHashes()
    try {
      await expect(() => readCredentialFile(file, "right")).toFailWithCode("CERTIFICATE_MALFORMED")
      expect(hashes.count).toBeLessThan(100)
      // What is counted is what opening costs.
      readCredentialFile(pkcs12(leaf, [], "right", [...options, "-iter", "1000", "-nomaciter"]), "right")
      expect(hashes.count).toBeGreaterThan(1000)
    } finally {
      hashes.restore()
    }
  })

  it("cut anywhere is refused", async () => {
    const file = pkcs12(leaf, [], "right", [])
    for (const length of [1, 40, file.length >> 1, file.length - 1])
      await expect(() => readCredentialFile(file.subarray(0, length), "right")).toFailWithCode(
        "CERTIFICATE_MALFORMED",
      )
  })
})

describe("a PEM text", () => {
  it("may hold its certificates in any order", () => {
    const text = [root.pem, keyPem(leaf), between.pem, leaf.pem].join("\n")
    const found = readCredentialFile(Buffer.from(text), "")
    expectKey(found.privateKey, leaf)
    expect(found.chain.map(nameOf)).toEqual(["CN=leaf", "CN=between", "CN=root"])
  })

  it("without a key starts at the certificate that issued none", () => {
    const found = readCredentialFile(Buffer.from(root.pem + leaf.pem + between.pem), "")
    expect(found.privateKey).toBeNull()
    expect(found.chain.map(nameOf)).toEqual(["CN=leaf", "CN=between", "CN=root"])
  })

  it("with an encrypted key wants its passphrase", async () => {
    const text = leaf.privateKey
      .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "p" })
      .toString()
    expectKey(readCredentialFile(Buffer.from(text), "p").privateKey, leaf)
    await expect(() => readCredentialFile(Buffer.from(text), "q")).toFailWithCode("CREDENTIAL_PASSPHRASE")
  })

  it("with an encrypted key that wants its passphrase hashed too often is refused", async () => {
    const file = path.join(temporaryFolder(), "key.pem")
    writeFileSync(file, keyPem(leaf))
    const encrypt = (iterations: string) =>
      execFileSync("openssl", ["pkcs8", "-topk8", "-in", file, "-passout", "pass:p", "-iter", iterations])
    await expect(() => readCredentialFile(encrypt("1000001"), "p")).toFailWithCode("CERTIFICATE_MALFORMED")
    expectKey(readCredentialFile(encrypt("5000"), "p").privateKey, leaf)
  })

  it("whose certificates issue each other in a circle ends", () => {
    const first = issue({ name: "a", extensions: CA })
    const second = issue({ name: "b", issuer: first, extensions: CA })
    const back = issue({ name: "a", issuer: second, extensions: CA, privateKey: first.privateKey })
    const below = issue({ name: "below", issuer: second, extensions: SIGNER })
    const text = [below, second, back].map(({ pem }) => pem).join("")
    const { chain } = readCredentialFile(Buffer.from(keyPem(below) + text), "")
    expect(chain.map(nameOf)).toEqual(["CN=below", "CN=b", "CN=a"])
  })

  it("with two keys, a foreign certificate or nothing in it is refused", async () => {
    const refuse = async (text: string, code: "KEY_UNREADABLE" | "CERTIFICATE_MALFORMED") =>
      expect(() => readCredentialFile(Buffer.from(text), "")).toFailWithCode(code)
    await refuse(keyPem(leaf) + keyPem(root), "KEY_UNREADABLE")
    await refuse(keyPem(leaf) + root.pem, "KEY_UNREADABLE")
    await refuse("-----BEGIN NOTHING-----\n-----END NOTHING-----\n", "CERTIFICATE_MALFORMED")
    await refuse("no credential", "CERTIFICATE_MALFORMED")
    await refuse(root.pem.replace("M", "!"), "CERTIFICATE_MALFORMED")
  })
})

function pkcs12(of: Issued, others: readonly Issued[], password: string, options: readonly string[]): Buffer {
  const folder = temporaryFolder()
  const at = (name: string) => path.join(folder, name)
  writeFileSync(at("key.pem"), keyPem(of))
  writeFileSync(at("leaf.pem"), of.pem)
  writeFileSync(at("others.pem"), others.map(({ pem }) => pem).join(""))
  writeFileSync(at("password"), password)
  const chain = others.length > 0 ? ["-certfile", at("others.pem")] : []
  execFileSync("openssl", [
    ...["pkcs12", "-export", "-inkey", at("key.pem"), "-in", at("leaf.pem"), ...chain],
    ...["-passout", `file:${at("password")}`, "-out", at("out.p12"), ...options],
  ])
  return readFileSync(at("out.p12"))
}

/** How often node-forge began to hash since: it derives keys in JavaScript, round by round. */
function countHashes(): { count: number; readonly restore: () => void } {
  // The library's types leave `start` out.
  const algorithms = [forge.md.sha1, forge.md.sha256] as unknown as readonly Algorithm[]
  const spies = algorithms.map((algorithm) => {
    const { create } = algorithm
    return vi.spyOn(algorithm, "create").mockImplementation(() => {
      const digest = create()
      const { start } = digest
      digest.start = () => {
        counted.count += 1
        return start()
      }
      return digest
    })
  })
  const counted = {
    count: 0,
    restore: () => {
      for (const spy of spies) spy.mockRestore()
    },
  }
  return counted
}

interface Algorithm {
  create: () => { start: () => unknown }
}

function placesOf(bytes: Buffer, wanted: Buffer): readonly number[] {
  const places: number[] = []
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) places.push(at)
  return places
}

function expectKey(found: KeyObject | null, wanted: Issued): void {
  if (found === null) throw new Error("no private key was found")
  expect(createPublicKey(found).equals(createPublicKey(wanted.privateKey))).toBe(true)
}

function keyPem(of: Issued): string {
  return of.privateKey.export({ type: "pkcs8", format: "pem" }).toString()
}

function nameOf(der: Uint8Array): string {
  return new X509Certificate(der).subject
}
