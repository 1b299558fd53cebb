/** Other people's tools open what we write: skopeo, age, tar, OpenSSL, the OCI schemas, sigstore's library. */
import { execFileSync } from "node:child_process"
import { createPublicKey } from "node:crypto"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { bundleFromJSON } from "@sigstore/bundle"
import { toSignedEntity, Verifier } from "@sigstore/verify"
import { beforeAll, describe, expect, test } from "vitest"
import { preAuthEncoding } from "../../main/core/attest/dsse.ts"
import { useDesk } from "../support/desk.ts"
import { ociFaults, type OciSchema } from "../support/oci-schemas.ts"
import { digestOf, SealEditor } from "../support/seal-editor.ts"
import { MODELS } from "../support/workspace.ts"

const desk = useDesk()
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })

beforeAll(async () => {
  const keygen = run("age-keygen", "-o", desk.at("age-key.txt")) // prints nothing but the public key, on stderr
  expect(keygen).toBe("")
  const recipient = run("age-keygen", "-y", desk.at("age-key.txt")).trim()
  await desk.engine.devices.add({ name: "age-device", key: { kind: "recipient", recipient } })
  await desk.protect("fashion-cnn-external.onnx", desk.at("one.seal"), { devices: ["age-device"] })
  await desk.protect("fashion-cnn.onnx", desk.at("fleet.seal"), {
    devices: ["press-07", "press-08", "age-device"],
    mode: "fleet",
  })
  await desk.protect("digits-mlp.onnx", desk.at("two.seal"), { devices: ["press-07", "press-08"] })
})

/** Digests of all blobs of an OCI layout folder, each checked against its content. */
function blobsOf(layout: string): readonly string[] {
  const folder = path.join(layout, "blobs", "sha256")
  return readdirSync(folder)
    .map((name) => {
      expect(digestOf(readFileSync(path.join(folder, name)))).toBe(`sha256:${name}`)
      return name
    })
    .sort()
}

describe("skopeo", () => {
  test.each(["one", "fleet", "two"])("copies %s.seal with every digest kept", async (name) => {
    const layout = desk.at(`${name}-layout`)
    run("skopeo", "copy", "--all", `oci-archive:${desk.at(`${name}.seal`)}`, `oci:${layout}`)
    const editor = await SealEditor.read(desk.at(`${name}.seal`))
    const ours = editor.entries
      .filter((entry) => entry.name.startsWith("blobs/"))
      .map((entry) => entry.name.slice(13))
    expect(blobsOf(layout)).toEqual(ours.sort())
    const top = (bytes: Buffer) =>
      (JSON.parse(bytes.toString()) as { manifests: { digest: string }[] }).manifests[0]?.digest
    expect(top(readFileSync(path.join(layout, "index.json")))).toBe(top(editor.entry("index.json").bytes))
  })

  test("copies the package alone when it is not told to copy all, and there and back to an archive that verifies", async () => {
    run("skopeo", "copy", `oci-archive:${desk.at("one.seal")}`, `oci:${desk.at("single")}`)
    const editor = await SealEditor.read(desk.at("one.seal"))
    expect(blobsOf(desk.at("single"))).toContain(editor.manifests("package")[0]?.digest.slice(7))
    run("skopeo", "copy", "--all", `oci:${desk.at("two-layout")}`, `oci-archive:${desk.at("two-again.seal")}`)
    const verdict = await desk.verify(desk.at("two-again.seal"), "press-08")
    expect(verdict.verdict).toBe("verified")
  })
})

describe("age and tar", () => {
  test("open a payload with a software key, down to the same bytes", async () => {
    const editor = await SealEditor.read(desk.at("one.seal"))
    const digest = editor.manifests("package")[0]?.manifest.layers[0]?.digest ?? ""
    writeFileSync(desk.at("payload.age"), editor.blob(digest).bytes)
    run("age", "-d", "-i", desk.at("age-key.txt"), "-o", desk.at("payload.tar"), desk.at("payload.age"))
    expect(run("tar", "tf", desk.at("payload.tar")).trim().split("\n")).toEqual([
      "fashion-cnn-external.onnx",
      "fashion-cnn-external.bin",
      "model.sig",
    ])
    run("tar", "xf", desk.at("payload.tar"), "-C", desk.folder)
    for (const name of ["fashion-cnn-external.onnx", "fashion-cnn-external.bin"]) {
      expect(readFileSync(desk.at(name)).equals(readFileSync(path.join(MODELS, name)))).toBe(true)
    }
  })

  test("open a fleet's payload by way of the grant", async () => {
    const editor = await SealEditor.read(desk.at("fleet.seal"))
    const payload = editor.manifests("package")[0]?.manifest.layers[0]?.digest ?? ""
    writeFileSync(desk.at("fleet.age"), editor.blob(payload).bytes)
    const opened = editor.manifests("grant").filter(({ manifest }) => {
      writeFileSync(desk.at("grant.age"), editor.blob(manifest.layers[0]?.digest ?? "").bytes)
      try {
        run("age", "-d", "-i", desk.at("age-key.txt"), "-o", desk.at("grant.tar"), desk.at("grant.age"))
        return true
      } catch {
        return false // a grant for another device
      }
    })
    expect(opened).toHaveLength(1)
    run("tar", "xf", desk.at("grant.tar"), "-C", desk.folder, "identity.txt", "grant.json")
    run("age", "-d", "-i", desk.at("identity.txt"), "-o", desk.at("fleet.tar"), desk.at("fleet.age"))
    run("tar", "xf", desk.at("fleet.tar"), "-C", desk.folder)
    expect(
      readFileSync(desk.at("fashion-cnn.onnx")).equals(readFileSync(path.join(MODELS, "fashion-cnn.onnx"))),
    ).toBe(true)
  })
})

describe("signatures", () => {
  const pem = async () => (await desk.engine.keys.show({ name: "release-1" })).publicKeyPem ?? ""

  test("OpenSSL verifies both statements over their pre-authentication encoding", async () => {
    writeFileSync(desk.at("release-1.pem"), await pem())
    const editor = await SealEditor.read(desk.at("one.seal"))
    run("tar", "xf", desk.at("payload.tar"), "-C", desk.folder, "model.sig")
    const bundles = [
      readFileSync(desk.at("model.sig")),
      ...editor
        .manifests("sigstore")
        .map(({ manifest }) => editor.blob(manifest.layers[0]?.digest ?? "").bytes),
    ]
    expect(bundles).toHaveLength(3)
    for (const bytes of bundles) {
      const { dsseEnvelope } = JSON.parse(bytes.toString()) as Bundle
      const payload = Buffer.from(dsseEnvelope.payload, "base64")
      writeFileSync(desk.at("pae"), preAuthEncoding(dsseEnvelope.payloadType, payload))
      writeFileSync(desk.at("sig"), Buffer.from(dsseEnvelope.signatures[0]?.sig ?? "", "base64"))
      expect(
        run(
          "openssl",
          "dgst",
          "-sha256",
          "-verify",
          desk.at("release-1.pem"),
          "-signature",
          desk.at("sig"),
          desk.at("pae"),
        ).trim(),
      ).toBe("Verified OK")
    }
  })

  test("sigstore's own library verifies the attached bundles", async () => {
    const publicKey = createPublicKey(await pem())
    const verifier = new Verifier(
      {
        certificateAuthorities: [],
        timestampAuthorities: [],
        tlogs: [],
        ctlogs: [],
        publicKey: () => ({ publicKey, validFor: () => true }),
      },
      { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 },
    )
    const editor = await SealEditor.read(desk.at("one.seal"))
    for (const { manifest } of editor.manifests("sigstore")) {
      const bundle = bundleFromJSON(
        JSON.parse(editor.blob(manifest.layers[0]?.digest ?? "").bytes.toString()),
      )
      expect(verifier.verify(toSignedEntity(bundle)).key).toBeDefined()
    }
  })
})

describe("OCI image-spec schemas", () => {
  test("accept every manifest and index we write", async () => {
    for (const name of ["one", "fleet", "two"]) {
      const editor = await SealEditor.read(desk.at(`${name}.seal`))
      const check = (schema: OciSchema, bytes: Buffer) => expect(ociFaults(schema, bytes)).toEqual([])
      check("image-layout-schema.json", editor.entry("oci-layout").bytes)
      check("image-index-schema.json", editor.entry("index.json").bytes)
      const top = JSON.parse(editor.entry("index.json").bytes.toString()) as {
        manifests: { digest: string }[]
      }
      check("image-index-schema.json", editor.blob(top.manifests[0]?.digest ?? "").bytes)
      for (const { digest } of editor.index.manifests)
        check("image-manifest-schema.json", editor.blob(digest).bytes)
    }
  })

  test("would refuse a manifest without layers' digests", () => {
    expect(
      ociFaults("image-manifest-schema.json", Buffer.from('{"schemaVersion":2,"layers":[{}]}')),
    ).not.toEqual([])
  })
})

test("nothing readable in a package names the model, its tensors, its digests or the devices", async () => {
  const editor = await SealEditor.read(desk.at("one.seal"))
  const documents = editor.entries.filter((entry) => entry.bytes[0] === 0x7b)
  expect(documents.length).toBeGreaterThan(5)
  const text = documents
    .map((entry) => entry.bytes.toString())
    .map(
      (json) =>
        json +
        json.replaceAll(/"payload":"([^"]+)"/g, (_, payload: string) =>
          Buffer.from(payload, "base64").toString(),
        ),
    )
    .join("\n")
  const plain = ["fashion-cnn-external.onnx", "fashion-cnn-external.bin"].map((name) =>
    digestOf(readFileSync(path.join(MODELS, name))).slice(7),
  )
  for (const secret of [...plain, "fashion", "age-device", "logits", "conv"])
    expect(text).not.toContain(secret)
})

interface Bundle {
  readonly dsseEnvelope: {
    readonly payload: string
    readonly payloadType: string
    readonly signatures: readonly { readonly sig: string }[]
  }
}
