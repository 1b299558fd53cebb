/** What leaves a desk and what comes back, under other people's tools: skopeo, OpenSSL, the OCI schemas, tuf-js. */
import { canonicalize } from "@tufjs/canonical-json"
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { Updater } from "tuf-js"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { preAuthEncoding } from "../../main/core/attest/dsse.ts"
import { readStatement } from "../../main/core/attest/statement.ts"
import { binOf } from "../../main/core/policy/device-id.ts"
import { FolderFetcher } from "../support/folder-fetcher.ts"
import { ociFaults } from "../support/oci-schemas.ts"
import { digestOf, SealEditor } from "../support/seal-editor.ts"
import { Fleet, outputOf } from "../support/shop.ts"
import { sharedFolder } from "../support/workspace.ts"

const TITLE = "org.opencontainers.image.title"
const folder = sharedFolder()
const closing: (() => Promise<void>)[] = []
let fleet: Fleet
let sent: SealEditor
let back: SealEditor

beforeAll(async () => {
  // tuf-js reads the computer's clock itself, so the repository is made today.
  fleet = await Fleet.open(folder, {
    now: new Date().toISOString(),
    atEnd: (close) => closing.push(close),
  })
  await fleet.deploy("r1")
  const { engine } = fleet.desk
  await engine.trust.change({ kind: "rotate", roles: {}, gates: null, offlineDays: null })
  await fleet.release("r2")
  await fleet.attachValidation("r2", { passed: true })
  await fleet.publish("r2")
  sent = await SealEditor.read(await fleet.export("sent.seal"))
  const place = fleet.device()
  const output = await outputOf(place, fleet.shop.at("back.seal"))
  await place.engine.deployment.receipts({ device: "press-07", output })
  back = await SealEditor.read(fleet.shop.at("back.seal"))
})

afterAll(async () => {
  for (const close of closing) await close()
})

/** Documents of trust metadata by name, as the file has them. */
function documents(editor: SealEditor): ReadonlyMap<string, Buffer> {
  return new Map(
    editor
      .manifests("trust")
      .flatMap(({ manifest }) =>
        manifest.layers.map(
          (layer) => [layer.annotations?.[TITLE] ?? "", editor.blob(layer.digest).bytes] as const,
        ),
      ),
  )
}

describe.each([
  ["an export", () => sent],
  ["the receipts of a device", () => back],
] as const)("%s", (_what, editor) => {
  test("is copied by skopeo with every digest kept", () => {
    const file = path.join(fleet.shop.folder, "copied.seal")
    editor().write(file)
    const layout = path.join(fleet.shop.folder, `layout-${editor() === sent}`)
    execFileSync("skopeo", ["copy", "--all", `oci-archive:${file}`, `oci:${layout}`], { stdio: "pipe" })
    const blobs = path.join(layout, "blobs", "sha256")
    for (const name of readdirSync(blobs))
      expect(digestOf(readFileSync(path.join(blobs, name)))).toBe(`sha256:${name}`)
    const ours = editor().entries.flatMap(({ name }) => (name.startsWith("blobs/") ? [name.slice(13)] : []))
    expect(readdirSync(blobs).sort()).toEqual(ours.sort())
  })

  test("has no manifest the OCI schemas refuse", () => {
    expect(editor().index.manifests.length).toBeGreaterThan(0)
    for (const { digest } of editor().index.manifests)
      expect(ociFaults("image-manifest-schema.json", editor().blob(digest).bytes)).toEqual([])
  })
})

test("the index of every release is an OCI index", () => {
  const indexes = [...documents(sent)].filter(([name]) => name.startsWith("targets/"))
  expect(indexes.length).toBeGreaterThan(0)
  for (const [name, bytes] of indexes) {
    expect(ociFaults("image-index-schema.json", bytes)).toEqual([])
    expect(digestOf(bytes)).toBe(`sha256:${name.slice("targets/".length)}`)
  }
})

describe("OpenSSL verifies", () => {
  /** Public keys of the whole trust root by keyid, as its documents name them. */
  const keys = () => {
    const found = new Map<string, string>()
    for (const [name, bytes] of documents(sent)) {
      if (!name.endsWith(".json")) continue
      const { signed } = JSON.parse(bytes.toString()) as MetadataJson
      for (const all of [signed?.keys, signed?.delegations?.keys])
        for (const [keyId, { keyval }] of Object.entries(all ?? {})) found.set(keyId, keyval.public)
    }
    return found
  }

  test("every signature under every document of both repositories", () => {
    const signed = [...documents(sent)].filter(([name]) => name.endsWith(".json") && !name.startsWith("log/"))
    const kinds = new Set(
      signed.map(([name]) => name.replace(/^devices\/.\//, "director/").replace(/\d+\./, "")),
    )
    expect([...kinds].sort()).toEqual([
      "director/root.json",
      "director/snapshot.json",
      "director/targets.json",
      "director/timestamp.json",
      "image/release-manager.json",
      "image/root.json",
      "image/snapshot.json",
      "image/targets.json",
      "image/timestamp.json",
    ])
    for (const [name, bytes] of signed) {
      const { signed: body, signatures } = JSON.parse(bytes.toString()) as MetadataJson
      expect(signatures.length, name).toBeGreaterThan(0)
      for (const { keyid, sig } of signatures)
        expect(verified(keys().get(keyid) ?? "", canonicalize(body), Buffer.from(sig, "hex")), name).toBe(
          true,
        )
    }
    const [name = "", bytes] = signed[0] ?? []
    const { signed: body, signatures } = JSON.parse(bytes?.toString() ?? "") as MetadataJson
    const other = canonicalize({ ...body, expires: "2090-01-01T00:00:00Z" })
    const [{ keyid, sig } = { keyid: "", sig: "" }] = signatures
    expect(verified(keys().get(keyid) ?? "", other, Buffer.from(sig, "hex")), name).toBe(false)
  })

  test("every statement that goes out, by the keys of the roles, and every receipt, by the device's own", () => {
    const pems = [...keys().values()]
    const types = statementsIn(sent).map(({ pae, sig, predicateType }) => {
      expect(pems.some((pem) => verified(pem, pae, sig))).toBe(true)
      return predicateType.replace("urn:sealwright:attestation:", "")
    })
    expect(types.toSorted()).toEqual(["copy:v1", "grant:v1", "validation:v1"])
    const receiptKey = readFileSync(fleet.shop.at("press-07-receipts.pem"), "utf8")
    const receipts = statementsIn(back)
    expect(receipts.map(({ predicateType }) => predicateType)).toEqual([
      "urn:sealwright:attestation:receipt:v1",
    ])
    for (const { pae, sig } of receipts) {
      expect(verified(receiptKey, pae, sig)).toBe(true)
      expect(pems.some((pem) => verified(pem, pae, sig))).toBe(false)
    }
  })
})

test("tuf-js accepts the words to a bin as a repository of its own, from the director's first root", async () => {
  const { deviceId } = await fleet.device().engine.deployment.status({ device: "press-07" })
  const repository = path.join(folder, "director")
  const client = path.join(folder, "client")
  for (const each of [repository, client]) mkdirSync(each)
  for (const [name, bytes] of documents(sent)) {
    const file = name.replace(/^director\//, "").replace(`devices/${binOf(deviceId)}/`, "")
    if (!file.includes("/")) writeFileSync(path.join(repository, file), bytes)
  }
  writeFileSync(path.join(client, "root.json"), readFileSync(path.join(repository, "1.root.json")))
  const settings = { metadataDir: client, metadataBaseUrl: "folder://" }
  const updater = new Updater({ ...settings, fetcher: new FolderFetcher(repository) })
  await updater.refresh()
  expect(JSON.parse(readFileSync(path.join(client, "root.json"), "utf8"))).toMatchObject({
    signed: { version: 2 },
  })
  expect(await updater.getTargetInfo("releases/r2")).toMatchObject({ custom: { releaseCounter: 2 } })
  expect(await updater.getTargetInfo("releases/r1")).toBeUndefined()
})

interface MetadataJson {
  readonly signed: {
    readonly keys?: Readonly<Record<string, { readonly keyval: { readonly public: string } }>>
    readonly delegations?: { readonly keys: NonNullable<MetadataJson["signed"]["keys"]> }
  }
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[]
}

function statementsIn(editor: SealEditor) {
  return editor.manifests("sigstore").map(({ manifest }) => {
    const { dsseEnvelope } = JSON.parse(
      editor.blob(manifest.layers[0]?.digest ?? "").bytes.toString(),
    ) as BundleJson
    const payload = Buffer.from(dsseEnvelope.payload, "base64")
    return {
      predicateType: readStatement(payload).predicateType,
      pae: preAuthEncoding(dsseEnvelope.payloadType, payload),
      sig: Buffer.from(dsseEnvelope.signatures[0]?.sig ?? "", "base64"),
    }
  })
}

interface BundleJson {
  readonly dsseEnvelope: {
    readonly payload: string
    readonly payloadType: string
    readonly signatures: readonly { readonly sig: string }[]
  }
}

function verified(pem: string, message: string | Uint8Array, signature: Uint8Array): boolean {
  const at = (name: string) => fleet.shop.at(`openssl-${name}`)
  writeFileSync(at("key"), pem)
  writeFileSync(at("message"), message)
  writeFileSync(at("signature"), signature)
  const args = ["dgst", "-sha256", "-verify", at("key"), "-signature", at("signature"), at("message")]
  try {
    return execFileSync("openssl", args, { encoding: "utf8", stdio: "pipe" }).includes("Verified OK")
  } catch {
    return false
  }
}
