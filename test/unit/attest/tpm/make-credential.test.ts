import { generateKeyPairSync, randomBytes, sign } from "node:crypto"
import { copyFileSync, readFileSync, writeFileSync } from "node:fs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { p256TagRecipient } from "../../../../main/core/age/p256tag.ts"
import type { EnrolmentRequest } from "../../../../main/core/attest/enrolment/documents.ts"
import {
  checkCertifiedKeys,
  checkRequestedKeys,
  judgeEndorsement,
  keyFingerprint,
} from "../../../../main/core/attest/enrolment/judge.ts"
import { checkCertified, readAttestation } from "../../../../main/core/attest/tpm/attestation.ts"
import { makeCredential } from "../../../../main/core/attest/tpm/make-credential.ts"
import { readPublicArea, type PublicArea } from "../../../../main/core/attest/tpm/public-area.ts"
import { startSwtpm, type Swtpm } from "../../../support/swtpm.ts"

let tpm: Swtpm

beforeAll(async () => {
  tpm = await startSwtpm()
})
afterAll(async () => tpm.stop())

describe.each(["rsa", "ecc"])("a credential for an endorsement key of kind %s", (kind) => {
  it("is activated by the TPM that holds it, and gives back the secret", async () => {
    const { ek, ak } = await endorsed(kind)
    const secret = randomBytes(32)
    const { blob, secret: encrypted } = makeCredential(ek, ak.name, secret)
    expect(await activate(kind, blob, encrypted)).toEqual(secret)
  })

  it("is not activated beside another key", async () => {
    const { ek, ak } = await endorsed(kind)
    const otherName = Uint8Array.from(ak.name)
    otherName[9] = (otherName[9] ?? 0) ^ 1
    const { blob, secret } = makeCredential(ek, otherName, randomBytes(32))
    await expect(activate(kind, blob, secret)).rejects.toThrow(/activatecredential/i)
  })
})

describe("a certified key", () => {
  it("is known by its name, its attributes, the nonce and the signature", async () => {
    const { ak, key, evidence, nonce } = await certified("decrypt")
    expect(checkCertified(evidence, key, ak, nonce).kind).toBe("certify")
    const refuse = async (work: () => unknown) => expect(work).toFailWithCode("ATTESTATION_REFUSED")
    await refuse(() => checkCertified(evidence, key, ak, randomBytes(20)))
    await refuse(() => checkCertified(evidence, ak, ak, nonce))
    await refuse(() => checkCertified(evidence, key, key, nonce))
    await refuse(() => checkCertified(evidence, { ...key, attributes: key.attributes & ~2 }, ak, nonce))
    await refuse(() => checkCertified(evidence, { ...key, attributes: key.attributes & ~32 }, ak, nonce))
    const forged = Uint8Array.from(evidence.attestation)
    forged[30] = (forged[30] ?? 0) ^ 1
    await refuse(() => checkCertified({ ...evidence, attestation: forged }, key, ak, nonce))
  })

  it("is refused when what was signed is no TPM's word, or a word about something else", async () => {
    const { ak, key, evidence, nonce } = await certified("decrypt")
    // A key that signs whatever it is given, in the place of the attestation key.
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
    const judge = (change: (attestation: Buffer) => void) => {
      const attestation = Buffer.from(evidence.attestation)
      change(attestation)
      const raw = sign("sha256", attestation, { key: privateKey, dsaEncoding: "ieee-p1363" })
      const size = Buffer.of(0, 32)
      const head = Buffer.from("0018000b", "hex")
      const signature = Buffer.concat([head, size, raw.subarray(0, 32), size, raw.subarray(32)])
      return checkCertified({ attestation, signature }, key, { ...ak, publicKey }, nonce)
    }
    expect(judge(() => {}).kind).toBe("certify")
    await expect(() => judge((bytes) => bytes.writeUInt32BE(0xff544348, 0))).toFailWithCode(
      "ATTESTATION_MALFORMED",
    )
    await expect(() => judge((bytes) => bytes.writeUInt16BE(0x801a, 4))).toFailWithCode(
      "ATTESTATION_MALFORMED",
    )
  })

  it("cut anywhere, or with something behind, cannot be read", async () => {
    const { evidence } = await certified("decrypt")
    for (let length = 0; length < evidence.attestation.length; length += 7)
      await expect(() => readAttestation(evidence.attestation.subarray(0, length))).toFailWithCode(
        "ATTESTATION_MALFORMED",
      )
    await expect(() => readAttestation(Buffer.concat([evidence.attestation, Buffer.of(0)]))).toFailWithCode(
      "ATTESTATION_MALFORMED",
    )
    await expect(() => readAttestation(new Uint8Array(120))).toFailWithCode("ATTESTATION_MALFORMED")
  })
})

describe("an enrolment from a TPM", () => {
  it("is judged by its endorsement key, its public areas and what it certified for this challenge", async () => {
    const decryption = await certified("decrypt")
    const decryptionArea = unsized(readFileSync(at("key.pub")))
    const signing = await certified("sign")
    const signingArea = unsized(readFileSync(at("key.pub")))
    // Each call made an attestation key of its own; the last one certifies both keys here.
    const again = await certifyAgain(decryptionArea)
    const tpmPart = {
      endorsementKey: unsized(readFileSync(at("ek.pub"))),
      endorsementCertificates: [],
      attestationKey: unsized(readFileSync(at("ak.pub"))),
      signingKey: signingArea,
      decryptionKey: decryptionArea,
    }
    const request: EnrolmentRequest = {
      version: 1,
      kind: "enrolment-request",
      device: "press-07",
      hardwareId: "board-0017",
      provider: "tpm2",
      signingKeyPem: signing.key.publicKey.export({ type: "spki", format: "pem" }).toString(),
      recipient: p256TagRecipient(pointOf(decryption.key)).text,
      tpm: tpmPart,
      createdAt: "2026-03-01T00:00:00Z",
    }
    expect(() => checkRequestedKeys(request)).not.toThrow()
    const swapped = { ...tpmPart, signingKey: decryptionArea, decryptionKey: signingArea }
    await expect(() => checkRequestedKeys({ ...request, tpm: swapped })).toFailWithCode("ATTESTATION_REFUSED")
    const now = new Date()
    const fingerprint = keyFingerprint(readPublicArea(tpmPart.endorsementKey).publicKey)
    const trust = { roots: [], approved: [fingerprint] }
    expect(judgeEndorsement(tpmPart, trust, now)).toMatchObject({ by: "approval", fingerprint })
    await expect(() => judgeEndorsement(tpmPart, { roots: [], approved: [] }, now)).toFailWithCode(
      "ATTESTATION_REFUSED",
    )
    const expected = {
      id: "0",
      nonce: signing.nonce,
      tokenDigest: Buffer.alloc(32),
      secretDigest: null,
      expiresAt: now,
    }
    const answer = {
      challenge: "0",
      nonce: signing.nonce,
      token: Buffer.alloc(32),
      activated: null,
      certified: { signingKey: signing.evidence, decryptionKey: again },
    }
    expect(() => checkCertifiedKeys(answer, tpmPart, expected)).not.toThrow()
    for (const wrong of [
      { ...answer, certified: null },
      { ...answer, certified: { signingKey: again, decryptionKey: again } },
      { ...answer, certified: { signingKey: signing.evidence, decryptionKey: decryption.evidence } },
    ])
      await expect(() => checkCertifiedKeys(wrong, tpmPart, expected)).toFailWithCode("ATTESTATION_REFUSED")
  })
})

/** The key made first, certified by the attestation key made last. */
async function certifyAgain(area: Uint8Array) {
  writeFileSync(at("first.pub"), Buffer.concat([Buffer.of(area.length >> 8, area.length & 0xff), area]))
  await tool("load", [
    "-C",
    at("primary.ctx"),
    "-u",
    at("first.pub"),
    "-r",
    at("first.priv"),
    "-c",
    at("first.ctx"),
  ])
  await flush()
  await tool("certify", [
    ...["-c", at("first.ctx"), "-C", at("ak.ctx"), "-g", "sha256", "-o", at("attest"), "-s", at("signature")],
  ])
  await flush()
  return { attestation: readFileSync(at("attest")), signature: readFileSync(at("signature")) }
}

function pointOf(area: PublicArea): Uint8Array {
  if (area.kind !== "ec") throw new Error("not an EC key")
  return Buffer.concat([Buffer.of(4), area.x, area.y])
}

/** An endorsement key of the kind and an attestation key under it, as tpm2-tools makes them. */
async function endorsed(kind: string): Promise<{ readonly ek: PublicArea; readonly ak: PublicArea }> {
  await tool("createek", ["-c", at("ek.ctx"), "-G", kind, "-u", at("ek.pub")])
  await flush()
  await tool("createak", [
    ...["-C", at("ek.ctx"), "-c", at("ak.ctx"), "-G", "ecc", "-g", "sha256", "-s", "ecdsa"],
    ...["-u", at("ak.pub"), "-r", at("ak.priv"), "-n", at("ak.name")],
  ])
  await flush()
  const ak = readPublicArea(unsized(readFileSync(at("ak.pub"))))
  expect(Buffer.from(ak.name)).toEqual(readFileSync(at("ak.name")))
  return { ek: readPublicArea(unsized(readFileSync(at("ek.pub")))), ak }
}

async function activate(kind: string, blob: Uint8Array, secret: Uint8Array): Promise<Buffer> {
  // The file of tpm2-tools: its own mark and version, then the two structures.
  const header = Buffer.from("badcc0de00000001", "hex")
  writeFileSync(at("credential"), Buffer.concat([header, blob, secret]))
  await tool("startauthsession", ["--policy-session", "-S", at("session.ctx")])
  try {
    await tool("policysecret", ["-S", at("session.ctx"), "-c", "e"])
    await tool("activatecredential", [
      ...["-c", at("ak.ctx"), "-C", at("ek.ctx"), "-i", at("credential"), "-o", at(`secret-${kind}`)],
      ...["-P", `session:${at("session.ctx")}`],
    ])
    return readFileSync(at(`secret-${kind}`))
  } finally {
    await tool("flushcontext", [at("session.ctx")])
    await flush()
  }
}

async function certified(use: "decrypt" | "sign") {
  const { ak } = await endorsed("ecc")
  // What this version of tpm2-tools always gives as qualifying data.
  const nonce = Buffer.from("00ff55aa", "hex")
  await tool("createprimary", ["-C", "o", "-c", at("primary.ctx")])
  await tool("create", [
    ...["-C", at("primary.ctx"), "-G", "ecc256", "-u", at("key.pub"), "-r", at("key.priv")],
    ...["-a", `fixedtpm|fixedparent|sensitivedataorigin|userwithauth|${use}`],
  ])
  await flush()
  if (use === "decrypt") copyFileSync(at("key.priv"), at("first.priv"))
  await tool("load", [
    "-C",
    at("primary.ctx"),
    "-u",
    at("key.pub"),
    "-r",
    at("key.priv"),
    "-c",
    at("key.ctx"),
  ])
  await flush()
  await tool("certify", [
    ...["-c", at("key.ctx"), "-C", at("ak.ctx"), "-g", "sha256", "-o", at("attest"), "-s", at("signature")],
  ])
  await flush()
  const evidence = { attestation: readFileSync(at("attest")), signature: readFileSync(at("signature")) }
  return { ak, key: readPublicArea(unsized(readFileSync(at("key.pub")))), evidence, nonce }
}

function at(name: string): string {
  return tpm.at(name)
}

async function tool(name: string, args: readonly string[]): Promise<void> {
  await tpm.tool(`tpm2_${name}`, ...args)
}

/** swtpm has no resource manager and few slots. */
async function flush(): Promise<void> {
  await tool("flushcontext", ["-t"])
}

/** TPM2B_PUBLIC without its size. */
function unsized(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(bytes.subarray(2))
}
