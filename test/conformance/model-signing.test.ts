/** OpenSSF Model Signing against the reference implementation's own files: 42 goldens and 13 signed models. */
import { X509Certificate } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { readBundle } from "../../main/core/attest/bundle.ts"
import { checkEnvelope } from "../../main/core/attest/dsse.ts"
import { checkModelFiles, type CheckedModel } from "../../main/core/attest/model-files.ts"
import { toManifestStatement, toModelManifest } from "../../main/core/attest/model-manifest.ts"
import { toResourceName } from "../../main/core/attest/model-resource.ts"
import { readModelSignature } from "../../main/core/attest/model-signing.ts"
import { readStatement } from "../../main/core/attest/statement.ts"
import { parseTrustedKeys } from "../../main/core/attest/trust.ts"
import { toVerificationKey } from "../../main/core/attest/verification-key.ts"
import { digestsOf, presentFiles, readFolder, type ModelFolder } from "../support/model-folder.ts"
import { REFERENCE_MODELS, referenceManifest } from "../support/reference-serialization.ts"
import { vector } from "../support/vectors.ts"

const payloads = goldens("testdata", "signing", "TestPayload")
const fileManifests = goldens("serialization", "file", "TestSerializer")
const shardManifests = goldens("serialization", "file_shard", "TestSerializer")
const signedModels = readdirSync(vector("model-signing", "interop")).filter((name) => name.startsWith("v"))

describe("goldens of the reference", () => {
  it("are all there: 21 payloads, 7 file manifests, 14 shard manifests", () => {
    expect([payloads.length, fileManifests.length, shardManifests.length]).toEqual([21, 7, 14])
  })

  it.each(payloads)("writes the payload of $name byte for byte", ({ model, shardSize, text }) => {
    const written = new TextDecoder().decode(toManifestStatement(referenceManifest(model, shardSize)))
    // The reference writes the shard size as a float; as a number it is the same.
    expect(`${written}\n`).toBe(text.replace(/("shard_size": \d+)\.0\n/, "$1\n"))
  })

  it.each([...fileManifests, ...shardManifests])(
    "lists $name as the reference does",
    ({ model, shardSize, text }) => {
      const { resources } = referenceManifest(model, shardSize)
      expect(resources.map((resource) => `${toResourceName(resource)}:${resource.digest}\n`).join("")).toBe(
        text,
      )
    },
  )

  const readable = payloads.filter(({ text }) => !text.includes('"resources": []'))

  it.each(readable)(
    "reads the payload of $name and finds its model unchanged",
    async ({ model, shardSize, text }) => {
      const manifest = toModelManifest(readStatement(new TextEncoder().encode(text)))
      expect(manifest).toEqual(referenceManifest(model, shardSize))
      const { checked } = await checkModelFiles(manifest, presentFiles(model.files), digestsOf(model.files))
      expect(checked).toEqual([...model.files.keys()])
    },
  )

  it.each(payloads.filter((golden) => !readable.includes(golden)))(
    "refuses $name, which signs nothing",
    async ({ text }) => {
      expect(readable).toHaveLength(14)
      await expect(() => toModelManifest(readStatement(new TextEncoder().encode(text)))).toFailWithCode(
        "SIGNATURE_MALFORMED",
      )
    },
  )
})

describe("signed models of the reference", () => {
  const keys = (name: string) =>
    readFileSync(vector("model-signing", "interop", "keys", "certificate", name), "utf8")
  const trust = parseTrustedKeys([
    { label: "reference key", pem: keys("signing-key-pub.pem") },
    { label: "reference root", pem: keys("ca-cert.pem") },
  ])
  const at = new Date("2026-01-01T00:00:00Z")

  it("are all there: 13", () => expect(signedModels).toHaveLength(13))

  it.each(signedModels.filter((name) => name.endsWith("-elliptic-key")))(
    "accepts %s by the P-384 key and the hint of its PEM text",
    async (name) => {
      const { model, bundle } = signedModel(name)
      const { signedBy, manifest } = readModelSignature(bundle, trust, at)
      expect(signedBy).toEqual({
        kind: "key",
        label: "reference key",
        hint: "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e",
      })
      await expectUnchanged(name, model, (files) =>
        checkModelFiles(manifest, files, digestsOf(model), "model.sig"),
      )
    },
  )

  it.each(signedModels.filter((name) => name.endsWith("-certificate") && name !== "v0.2.0-certificate"))(
    "accepts %s by its certificate chain",
    async (name) => {
      const { model, bundle } = signedModel(name)
      const { signedBy, manifest } = readModelSignature(bundle, trust, at)
      expect(signedBy).toMatchObject({
        kind: "certificate",
        label: "reference root",
        subject: "CN=intermediate-ca",
      })
      await expectUnchanged(name, model, (files) =>
        checkModelFiles(manifest, files, digestsOf(model), "model.sig"),
      )
    },
  )

  it.each(signedModels.filter((name) => name.endsWith("-sigstore")))(
    "finds signature, root and files of %s right by its certificate, and leaves the signer open",
    async (name) => {
      const { model, bundle: bytes } = signedModel(name)
      const bundle = readBundle(bytes)
      if (bundle.signer.kind !== "sigstore") throw new Error("not a sigstore bundle")
      const key = toVerificationKey(new X509Certificate(bundle.signer.certificate).publicKey)
      if (key === null) throw new Error("not an EC key")
      checkEnvelope(bundle.envelope, key)
      const manifest = toModelManifest(readStatement(bundle.envelope.payload))
      await expectUnchanged(name, model, (files) =>
        checkModelFiles(manifest, files, digestsOf(model), "model.sig"),
      )
      await expect(() => readModelSignature(bytes, trust, at)).toFailWithCode("SIGNATURE_UNSUPPORTED")
    },
  )

  it("refuses v0.2.0-certificate, signed over another encoding, and its predicate too", async () => {
    const { bundle } = signedModel("v0.2.0-certificate")
    await expect(() => readModelSignature(bundle, trust, at)).toFailWithCode("SIGNATURE_INVALID")
    const statement = readStatement(readBundle(bundle).envelope.payload)
    expect(statement.predicateType).toBe("https://model_signing/Digests/v0.1")
    await expect(() => toModelManifest(statement)).toFailWithCode("SIGNATURE_MALFORMED")
  })

  it("shows what v1.1.0 left out of its signatures", async () => {
    const { model, bundle } = signedModel("v1.1.0-elliptic-key")
    const { manifest } = readModelSignature(bundle, trust, at)
    expect([...manifest.serialization.ignorePaths].sort()).toEqual([
      ".git",
      ".gitattributes",
      ".github",
      ".gitignore",
      "ignore-me",
      "model.sig",
    ])
    const { ignored } = await checkModelFiles(manifest, presentFiles(model), digestsOf(model))
    expect(ignored).toContainEqual({ name: "ignore-me", rule: "signer" })
    expect(ignored).toContainEqual({ name: "model.sig", rule: "signer" })
  })
})

function goldens(...folder: readonly string[]) {
  return readdirSync(vector("model-signing", ...folder)).map((name) => {
    const isSharded = folder.includes("file_shard") || /_shards?$/.test(name)
    const input = name.replace(/_(?:small_shards|shard)$/, "")
    const model = REFERENCE_MODELS.get(input)
    if (model === undefined) throw new Error(`no input for ${name}`)
    const shardSize = !isSharded ? null : name.endsWith("_small_shards") ? 8 : 1_000_000_000
    return { name, model, shardSize, text: readFileSync(vector("model-signing", ...folder, name), "utf8") }
  })
}

function signedModel(name: string) {
  const folder = vector("model-signing", "interop", name)
  return { model: readFolder(folder), bundle: readFileSync(`${folder}/model.sig`) }
}

/**
 * Signers before v1.1.0 left `ignore-me` out without saying so: with the file there the model is refused, without it
 * accepted. The later ones name it.
 */
async function expectUnchanged(
  name: string,
  model: ModelFolder,
  check: (files: ReturnType<typeof presentFiles>) => Promise<CheckedModel>,
) {
  const files = presentFiles(model)
  if (name.startsWith("v1.0.1")) await expect(check(files)).toFailWithCode("SIGNATURE_MISMATCH")
  const given = name.startsWith("v1.0.1") ? files.filter((file) => file.name !== "ignore-me") : files
  const { checked } = await check(given)
  expect(checked.toSorted()).toEqual(["signme-1", "signme-2"].filter((file) => model.has(file)))
}
