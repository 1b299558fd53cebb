/** The OMS specification's own JSON Schemas and test vectors: they must accept what we write, and we judge them as listed. */
import { readFileSync } from "node:fs"
import { Ajv2020, type AnySchemaObject } from "ajv/dist/2020.js"
import { describe, expect, it } from "vitest"
import { readBundle, toBundleBytes } from "../../main/core/attest/bundle.ts"
import { signEnvelope } from "../../main/core/attest/dsse.ts"
import { toModelStatement, readModelSignature, signModel } from "../../main/core/attest/model-signing.ts"
import { parseTrustedKeys } from "../../main/core/attest/trust.ts"
import { folderOf, hashedFiles } from "../support/model-folder.ts"
import { newTestKey } from "../support/software-signer.ts"
import { vector } from "../support/vectors.ts"

const readVector = (...parts: readonly string[]) =>
  readFileSync(vector("oms-spec", "test-vectors", "v1.0", ...parts))
const ajv = new Ajv2020({ strict: false, allErrors: true })
for (const name of ["predicate", "statement", "envelope", "bundle"]) {
  const text = readFileSync(vector("oms-spec", "schemas", "v1.0", `${name}.schema.json`), "utf8")
  const schema: AnySchemaObject = JSON.parse(text)
  ajv.addSchema(schema)
}
const faultsOf = (layer: "bundle" | "statement", document: unknown) => {
  const isValid = ajv.validate(`https://model_signing/${layer}/v1.0/schema`, document)
  return isValid ? [] : (ajv.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ""}`)
}

const key = newTestKey()
const files = hashedFiles(folderOf({ "model.onnx": "weights", "data/labels.txt": "cat dog", "ü.bin": "" }))
const reference = {
  label: "reference",
  pem: readFileSync(vector("model-signing", "interop", "keys", "certificate", "signing-key-pub.pem"), "utf8"),
}
const root = {
  label: "root",
  pem: readFileSync(vector("model-signing", "interop", "keys", "certificate", "ca-cert.pem"), "utf8"),
}
const trust = parseTrustedKeys([reference, root])
const at = new Date("2026-01-01T00:00:00Z")

describe("the schemas of the specification", () => {
  it("accept our statement and our bundle", async () => {
    const statement = toModelStatement("my-model", files)
    expect(faultsOf("statement", JSON.parse(new TextDecoder().decode(statement)))).toEqual([])
    const bundle = await signModel("my-model", files, key.signer)
    expect(faultsOf("bundle", JSON.parse(new TextDecoder().decode(bundle)))).toEqual([])
  })

  it("accept every valid vector and its statement", () => {
    for (const name of ["key", "certificate", "sigstore"]) {
      const bytes = readVector("valid", `${name}.bundle.json`)
      expect(faultsOf("bundle", JSON.parse(bytes.toString()))).toEqual([])
      expect(faultsOf("statement", payloadOf(bytes))).toEqual([])
    }
  })

  it("refuse what we refuse", () => {
    for (const name of ["missing-envelope", "missing-verification-material", "missing-tlog-entries"]) {
      expect(
        faultsOf("bundle", JSON.parse(readVector("invalid", `${name}.bundle.json`).toString())),
      ).not.toEqual([])
    }
    const wrong = readVector("invalid-payload", "wrong-predicate.bundle.json")
    expect(faultsOf("statement", payloadOf(wrong))).toEqual([expect.stringContaining("/predicateType")])
  })
})

describe("the vectors of the specification", () => {
  it.each(["key", "certificate"])("accepts valid/%s", (name) => {
    const { signedBy, manifest } = readModelSignature(readVector("valid", `${name}.bundle.json`), trust, at)
    expect(signedBy.kind).toBe(name)
    expect(manifest.resources.map(({ path }) => path)).toEqual(["signme-1", "signme-2"])
  })

  it("reads valid/sigstore and says that its log is not judged", async () => {
    const bytes = readVector("valid", "sigstore.bundle.json")
    expect(readBundle(bytes).logEntries).toHaveLength(1)
    await expect(() => readModelSignature(bytes, trust, at)).toFailWithCode("SIGNATURE_UNSUPPORTED")
  })

  it.each(["empty", "missing-envelope", "missing-verification-material", "missing-tlog-entries"])(
    "refuses invalid/%s",
    async (name) => {
      const bytes = readVector("invalid", `${name}.bundle.json`)
      await expect(() => readBundle(bytes)).toFailWithCode("SIGNATURE_MALFORMED")
    },
  )

  it("refuses invalid-payload/wrong-predicate for its stale signature, and the predicate when signed afresh", async () => {
    const bytes = readVector("invalid-payload", "wrong-predicate.bundle.json")
    await expect(() => readModelSignature(bytes, trust, at)).toFailWithCode("SIGNATURE_INVALID")
    const { payloadType, payload } = readBundle(bytes).envelope
    const envelope = await signEnvelope(payloadType, payload, key.signer)
    const own = parseTrustedKeys([{ label: "own", pem: key.pem }])
    const [hint = ""] = own.keys.keys()
    await expect(() => readModelSignature(toBundleBytes(envelope, hint), own, at)).toFailWithCode(
      "SIGNATURE_MALFORMED",
    )
  })
})

function payloadOf(bundle: Uint8Array): unknown {
  const { dsseEnvelope } = JSON.parse(new TextDecoder().decode(bundle))
  return JSON.parse(Buffer.from(dsseEnvelope.payload, "base64").toString())
}
