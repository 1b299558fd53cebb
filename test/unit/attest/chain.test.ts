import { generateKeyPairSync } from "node:crypto"
import { describe, expect, it } from "vitest"
import { readCertificate, type Certificate } from "../../../main/core/attest/certificate.ts"
import { checkChain } from "../../../main/core/attest/chain.ts"
import { CA, issue, onDay, SIGNER, type Issued } from "../../support/certificates.ts"

const root = issue({ name: "root", extensions: CA })
const between = issue({ name: "between", issuer: root, extensions: CA })
const leaf = issue({ name: "leaf", issuer: between, extensions: SIGNER })

describe("a certificate chain", () => {
  it("leads from the leaf over intermediates to the pinned root", () => {
    expect(judge([leaf, between], [root]).fingerprint).toBe(read(root).fingerprint)
  })

  it("may hold its intermediates in any order, and others besides", () => {
    const lower = issue({ name: "lower", issuer: between, extensions: CA })
    const below = issue({ name: "below", issuer: lower, extensions: SIGNER })
    const stranger = issue({ name: "stranger", extensions: CA })
    expect(judge([below, stranger, root, between, lower], [root]).fingerprint).toBe(read(root).fingerprint)
  })

  it("may end in an intermediate that is pinned", () => {
    expect(judge([leaf, between], [between]).fingerprint).toBe(read(between).fingerprint)
  })

  it("takes a leaf without keyUsage and extKeyUsage", () => {
    expect(() => judge([issue({ name: "plain", issuer: root })], [root])).not.toThrow()
  })

  it("takes an RSA root of 2048 bits", () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
    const rsa = issue({ name: "rsa root", extensions: CA, privateKey })
    expect(() => judge([issue({ name: "a", issuer: rsa, extensions: SIGNER })], [rsa])).not.toThrow()
  })

  it("counts only intermediates that are not self-issued against the path length", () => {
    const one = issue({ name: "one", extensions: ["basicConstraints=critical,CA:TRUE,pathlen:1"] })
    const rolled = issue({ name: "one", issuer: one, extensions: CA })
    const lower = issue({ name: "lower", issuer: rolled, extensions: CA })
    const last = issue({ name: "last", issuer: lower, extensions: SIGNER })
    expect(() => judge([last, lower, rolled], [one])).not.toThrow()
  })

  it("is judged at the time asked, not when the leaf was issued", async () => {
    const short = issue({ name: "short", issuer: root, extensions: SIGNER, days: 10 })
    expect(() => judge([short], [root], onDay(9))).not.toThrow()
    await expect(() => judge([short], [root], onDay(11))).toFailWithCode("SIGNER_UNTRUSTED")
    await expect(() => judge([short], [root], onDay(-1))).toFailWithCode("SIGNER_UNTRUSTED")
  })

  it("needs every certificate valid, the intermediate and the root too", async () => {
    const shortRoot = issue({ name: "short root", extensions: CA, days: 10 })
    const shortBetween = issue({ name: "short between", issuer: root, extensions: CA, days: 10 })
    const [a, b] = [shortRoot, shortBetween].map((issuer) => issue({ name: "a", issuer, extensions: SIGNER }))
    if (a === undefined || b === undefined) throw new Error("no certificates")
    await expect(() => judge([a], [shortRoot], onDay(11))).toFailWithCode("SIGNER_UNTRUSTED")
    await expect(() => judge([b, shortBetween], [root], onDay(11))).toFailWithCode("SIGNER_UNTRUSTED")
  })

  it("is refused at a time that is no time", async () => {
    await expect(() => judge([leaf, between], [root], new Date(Number.NaN))).toFailWithCode(
      "SIGNER_UNTRUSTED",
    )
  })

  it.each<[string, () => readonly [readonly Issued[], readonly Issued[]]]>([
    ["nothing is pinned", () => [[leaf, between, root], []]],
    [
      "another root of the same name is pinned",
      () => [[leaf, between], [issue({ name: "root", extensions: CA })]],
    ],
    [
      "the leaf's certificate was not signed by its issuer",
      () => [[{ ...leaf, der: forged(leaf.der) }, between], [root]],
    ],
    ["the intermediate's was not", () => [[leaf, { ...between, der: forged(between.der) }], [root]]],
    ["an intermediate is missing", () => [[leaf], [root]]],
    [
      "an intermediate is no authority",
      () => {
        const impostor = issue({ name: "impostor", issuer: root, extensions: SIGNER })
        return [[issue({ name: "a", issuer: impostor, extensions: SIGNER }), impostor], [root]]
      },
    ],
    [
      "an intermediate says nothing about being an authority",
      () => {
        const silent = issue({ name: "silent", issuer: root })
        return [[issue({ name: "a", issuer: silent, extensions: SIGNER }), silent], [root]]
      },
    ],
    [
      "an intermediate may sign but not issue",
      () => {
        const extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,digitalSignature"]
        const reader = issue({ name: "reader", issuer: root, extensions })
        return [[issue({ name: "a", issuer: reader, extensions: SIGNER }), reader], [root]]
      },
    ],
    [
      "an intermediate is for servers",
      () => {
        const server = issue({
          name: "server",
          issuer: root,
          extensions: [...CA, "extendedKeyUsage=serverAuth"],
        })
        return [[issue({ name: "a", issuer: server, extensions: SIGNER }), server], [root]]
      },
    ],
    [
      "there are more intermediates than the root allows",
      () => {
        const tight = issue({ name: "tight", extensions: ["basicConstraints=critical,CA:TRUE,pathlen:0"] })
        const lower = issue({ name: "lower", issuer: tight, extensions: CA })
        return [[issue({ name: "a", issuer: lower, extensions: SIGNER }), lower], [tight]]
      },
    ],
    [
      "the leaf may encrypt but not sign",
      () => [[issue({ name: "a", issuer: root, extensions: ["keyUsage=critical,keyAgreement"] })], [root]],
    ],
    [
      "the leaf is for servers",
      () => [
        [issue({ name: "a", issuer: root, extensions: ["extendedKeyUsage=serverAuth,clientAuth"] })],
        [root],
      ],
    ],
    [
      "the leaf is for anything, which is not code signing",
      () => [
        [issue({ name: "a", issuer: root, extensions: ["extendedKeyUsage=anyExtendedKeyUsage"] })],
        [root],
      ],
    ],
    [
      "a critical extension is not understood",
      () => [
        [issue({ name: "a", issuer: root, extensions: ["1.2.3.4=critical,ASN1:UTF8String:x"] })],
        [root],
      ],
    ],
    [
      "an authority is bound to names, which are not judged",
      () => {
        const bound = issue({
          name: "bound",
          issuer: root,
          extensions: [...CA, "nameConstraints=critical,permitted;email:.example.com"],
        })
        return [[issue({ name: "a", issuer: bound, extensions: SIGNER }), bound], [root]]
      },
    ],
    [
      "a certificate is signed with SHA-1",
      () => [[issue({ name: "a", issuer: root, extensions: SIGNER, hash: "sha1" })], [root]],
    ],
    [
      "an authority has an RSA key of 1024 bits",
      () => {
        const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 })
        const weak = issue({ name: "weak", issuer: root, extensions: CA, privateKey })
        return [[issue({ name: "a", issuer: weak, extensions: SIGNER }), weak], [root]]
      },
    ],
    [
      "the pinned certificate is no authority",
      () => {
        const pinned = issue({ name: "pinned", extensions: SIGNER })
        return [[issue({ name: "a", issuer: pinned, extensions: SIGNER })], [pinned]]
      },
    ],
  ])("is refused when %s", async (_, make) => {
    const [chain, pinned] = make()
    await expect(() => judge(chain, pinned)).toFailWithCode("SIGNER_UNTRUSTED")
  })

  it("is searched once even when all its certificates issue each other", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
    const twins = Array.from({ length: 8 }, () => issue({ name: "twin", extensions: CA, privateKey }))
    await expect(() => judge(twins, [root])).toFailWithCode("SIGNER_UNTRUSTED")
  })
})

/** The same certificate with the last bit of its signature flipped. */
function forged(der: Uint8Array): Uint8Array {
  return der.with(der.length - 1, (der.at(-1) ?? 0) ^ 1)
}

function judge(chain: readonly Issued[], pinned: readonly Issued[], at = onDay(1)): Certificate {
  const [first, ...rest] = chain.map(read)
  if (first === undefined) throw new Error("an empty chain")
  return checkChain([first, ...rest], pinned.map(read), at)
}

function read(issued: Issued): Certificate {
  const certificate = readCertificate(issued.der)
  if (certificate === null) throw new Error("not a certificate")
  return certificate
}
