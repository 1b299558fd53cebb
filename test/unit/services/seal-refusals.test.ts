/** Packages that are damaged, rearranged or forged: refused by verify with the check that found it, never opened. */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { beforeAll, describe, expect, test } from "vitest"
import { AppError, type ErrorCode } from "../../../main/contract/errors.ts"
import { followJob } from "../../../main/contract/client.ts"
import { sourceOf } from "../../../main/core/bytes/source.ts"
import { readTar, TAR_END } from "../../../main/core/oci/tar.ts"
import { useDesk } from "../../support/desk.ts"
import { digestOf, rawHeader, SealEditor, tarOf, type SealEntry } from "../../support/seal-editor.ts"

const desk = useDesk()
let good: Buffer

beforeAll(async () => {
  await desk.protect("digits-mlp.onnx", desk.at("good.seal"))
  await desk.protect("cancer-mlp.onnx", desk.at("other.seal"))
  good = readFileSync(desk.at("good.seal"))
})

async function edited(): Promise<SealEditor> {
  return SealEditor.read(desk.at("good.seal"))
}

/** The bytes are refused by verify at the check with this id and code, and open throws without writing. */
async function expectRefused(bytes: Buffer, check: string, code: ErrorCode): Promise<void> {
  const file = desk.at("bad.seal")
  const out = desk.at("never.onnx")
  writeFileSync(file, bytes)
  const verdict = await desk.verify(file)
  const failed = verdict.checks.find((each) => each.result === "failed")
  expect({ verdict: verdict.verdict, check: failed?.id, code: failed?.code }).toEqual({
    verdict: "refused",
    check,
    code,
  })
  await expect(desk.open(file, out)).rejects.toBeInstanceOf(AppError)
  expect(existsSync(out)).toBe(false)
}

test("the untouched package verifies and opens", async () => {
  expect((await desk.verify(desk.at("good.seal"))).verdict).toBe("verified")
  await desk.open(desk.at("good.seal"), desk.at("good.onnx"))
})

describe("truncation", () => {
  test("at every structural boundary, and one byte to either side", async () => {
    const entries = await readTar(sourceOf(good))
    const boundaries = new Set<number>([
      0,
      1,
      511,
      512,
      good.length - 1,
      good.length - 512,
      good.length - 513,
      good.length - 1024,
    ])
    for (const { offset, size } of entries) {
      for (const at of [offset - 512, offset, offset + size, offset + Math.ceil(size / 512) * 512]) {
        for (const cut of [at - 1, at, at + 1]) if (cut >= 0 && cut < good.length) boundaries.add(cut)
      }
    }
    expect(boundaries.size).toBeGreaterThan(60)
    for (const cut of boundaries) {
      await expectRefused(good.subarray(0, cut), "container", cut === 0 ? "SEAL_MALFORMED" : "SEAL_TRUNCATED")
    }
  })
})

describe("rearranged content", () => {
  test("layers of two parts swapped", async () => {
    const editor = await edited()
    const payload = editor.blob(editor.manifests("package")[0]?.manifest.layers[0]?.digest ?? "")
    const grant = editor.blob(editor.manifests("grant")[0]?.manifest.layers[0]?.digest ?? "")
    ;[payload.bytes, grant.bytes] = [grant.bytes, payload.bytes]
    await expectRefused(editor.toBytes(), "container", "SEAL_DIGEST_MISMATCH")
  })

  test("the payload of another package under this package's name", async () => {
    const editor = await edited()
    const other = await SealEditor.read(desk.at("other.seal"))
    const ours = editor.blob(editor.manifests("package")[0]?.manifest.layers[0]?.digest ?? "")
    const theirs = other.blob(other.manifests("package")[0]?.manifest.layers[0]?.digest ?? "")
    ours.bytes = Buffer.from(theirs.bytes.subarray(0, ours.bytes.length))
    if (ours.bytes.length < theirs.bytes.length)
      await expectRefused(editor.toBytes(), "digests", "SEAL_DIGEST_MISMATCH")
    else await expectRefused(editor.toBytes(), "container", "SEAL_DIGEST_MISMATCH")
  })

  test("the payload of another package, with every digest up to the index made to fit", async () => {
    const editor = await edited()
    const other = await SealEditor.read(desk.at("other.seal"))
    const ours = editor.manifests("package")[0]?.manifest.layers[0]?.digest ?? ""
    const theirs = other.blob(other.manifests("package")[0]?.manifest.layers[0]?.digest ?? "")
    editor.replaceBlob(ours, theirs.bytes)
    await expectRefused(editor.toBytes(), "signatures", "SIGNATURE_INVALID")
  })

  test("a whole signed package of ours beside a grant for another", async () => {
    const editor = await edited()
    const other = await SealEditor.read(desk.at("other.seal"))
    const wanted = new Set(editor.manifests("package").map(({ digest }) => digest))
    const bundles = editor
      .manifests("sigstore")
      .filter(({ manifest }) => wanted.has(manifest.subject?.digest ?? ""))
    const grants = other.manifests("grant")
    const grantBundles = other
      .manifests("sigstore")
      .filter(({ manifest }) => grants.some(({ digest }) => digest === manifest.subject?.digest))
    await expectRefused(
      compose([
        [editor, [...wanted, ...bundles.map(({ digest }) => digest)]],
        [other, [...grants, ...grantBundles].map(({ digest }) => digest)],
      ]),
      "grant",
      "SEAL_INCOMPLETE",
    )
  })

  test("one flipped byte anywhere in payload or grant", async () => {
    for (const kind of ["package", "grant"]) {
      for (const share of [0, 0.1, 0.5, 0.9, 0.999]) {
        const editor = await edited()
        const layer = editor.blob(editor.manifests(kind)[0]?.manifest.layers[0]?.digest ?? "")
        const at = Math.floor(layer.bytes.length * share)
        layer.bytes[at] = (layer.bytes[at] ?? 0) ^ 0x01
        writeFileSync(desk.at("bad.seal"), editor.toBytes())
        const verdict = await desk.verify(desk.at("bad.seal"))
        expect(verdict.verdict).toBe("refused")
        await expect(desk.open(desk.at("bad.seal"), desk.at("never.onnx"))).rejects.toBeInstanceOf(AppError)
      }
    }
  })

  test("the signature taken away, together with every mention of it", async () => {
    const editor = await edited()
    const keep = [...editor.manifests("package"), ...editor.manifests("grant")].map(({ digest }) => digest)
    await expectRefused(compose([[editor, keep]]), "signatures", "SIGNATURE_MISSING")
  })

  test("an entry nothing refers to", async () => {
    const editor = await edited()
    const extra = Buffer.from("smuggled")
    editor.entries.push({ name: `blobs/sha256/${digestOf(extra).slice(7)}`, bytes: extra })
    await expectRefused(editor.toBytes(), "container", "SEAL_MALFORMED")
  })

  test("a blob that is missing", async () => {
    const editor = await edited()
    editor.entries.splice(editor.entries.indexOf(editor.entry("oci-layout")), 1)
    await expectRefused(editor.toBytes(), "container", "SEAL_INCOMPLETE")
  })
})

describe("hostile JSON", () => {
  test.each<[string, (text: string) => string, ErrorCode]>([
    ["duplicate keys", (text) => text.replace("{", '{"schemaVersion":2,'), "JSON_MALFORMED"],
    [
      "duplicate keys spelled differently",
      (text) => text.replace("{", String.raw`{"schemaVersio\u006e":2,`),
      "JSON_MALFORMED",
    ],
    ["a byte order mark", (text) => `\ufeff${text}`, "JSON_MALFORMED"],
    [
      "deep nesting",
      (text) => text.replace("{", `{"annotations":${"[".repeat(5000)}${"]".repeat(5000)},`),
      "JSON_MALFORMED",
    ],
    ["a trailing comma", (text) => text.replace(/\}$/, ",}"), "JSON_MALFORMED"],
    ["an unknown field", (text) => text.replace("{", '{"urls":[],'), "SEAL_MALFORMED"],
    ["a size that is not a number", (text) => text.replace(/"size":\d+/, '"size":"1"'), "SEAL_MALFORMED"],
    [
      "a digest that is a path",
      (text) => text.replace(/sha256:[0-9a-f]{64}/, `sha256:../../../../etc/passwd${"0".repeat(40)}`),
      "SEAL_MALFORMED",
    ],
  ])("%s in index.json", async (_name, change, code) => {
    const editor = await edited()
    const entry = editor.entry("index.json")
    entry.bytes = Buffer.from(change(entry.bytes.toString()))
    await expectRefused(editor.toBytes(), "container", code)
  })

  test("duplicate keys in a package manifest, with every digest up to the index made to fit", async () => {
    const editor = await edited()
    const { digest } = editor.manifests("package")[0] ?? { digest: "" }
    const changed = editor.blob(digest).bytes.toString().replace("{", '{"schemaVersion":2,')
    editor.replaceBlob(digest, Buffer.from(changed))
    await expectRefused(editor.toBytes(), "container", "JSON_MALFORMED")
  })

  test("a path as title of a layer changes the manifest, and so the signature", async () => {
    const editor = await edited()
    const { digest } = editor.manifests("package")[0] ?? { digest: "" }
    const changed = editor.blob(digest).bytes.toString().replace("payload.age", "../../payload.age")
    editor.replaceBlob(digest, Buffer.from(changed))
    await expectRefused(editor.toBytes(), "signatures", "SIGNATURE_INVALID")
  })
})

describe("hostile archives", () => {
  const headers: readonly [string, Buffer, ErrorCode][] = [
    ["a name that climbs out", rawHeader("../escape", 0), "SEAL_UNSAFE_NAME"],
    ["a name that climbs out further in", rawHeader("blobs/../../escape", 0), "SEAL_UNSAFE_NAME"],
    ["an absolute name", rawHeader("/etc/passwd", 0), "SEAL_UNSAFE_NAME"],
    ["a Windows drive", rawHeader("C:/escape", 0), "SEAL_UNSAFE_NAME"],
    ["a backslash", rawHeader(String.raw`..\escape`, 0), "SEAL_UNSAFE_NAME"],
    ["a name that is not UTF-8", rawHeader(Buffer.of(0x62, 0xe9, 0x74), 0), "SEAL_UNSAFE_NAME"],
    ["an empty name", rawHeader("", 0), "SEAL_UNSAFE_NAME"],
    ["a symbolic link", rawHeader("link", 0, (header) => header.write("2", 156)), "SEAL_MALFORMED"],
    ["a hard link", rawHeader("link", 0, (header) => header.write("1", 156)), "SEAL_MALFORMED"],
    ["a device", rawHeader("null", 0, (header) => header.write("3", 156)), "SEAL_MALFORMED"],
    ["a GNU long name", rawHeader("././@LongLink", 0, (header) => header.write("L", 156)), "SEAL_MALFORMED"],
    ["a sparse file", rawHeader("sparse", 0, (header) => header.write("S", 156)), "SEAL_MALFORMED"],
    ["a negative size", rawHeader("neg", 0, (header) => header.fill(0xff, 124, 136)), "SEAL_MALFORMED"],
    [
      "a size of 2^63",
      rawHeader("huge", 0, (header) => header.set([0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], 124)),
      "SEAL_MALFORMED",
    ],
    [
      "a size past the end",
      rawHeader("long", 0, (header) => header.write("77777777777", 124)),
      "SEAL_TRUNCATED",
    ],
    [
      "letters for a size",
      rawHeader("nan", 0, (header) => header.write("0000000000z", 124)),
      "SEAL_MALFORMED",
    ],
    ["a wrong checksum", Buffer.from(rawHeader("sum", 0)).fill(0x41, 0, 1), "SEAL_MALFORMED"],
  ]
  test.each(headers)("%s", async (_name, header, code) => {
    await expectRefused(Buffer.concat([header, good]), "container", code)
  })

  test("the same name twice", async () => {
    const editor = await edited()
    editor.entries.push({ name: "index.json", bytes: Buffer.from("{}") })
    await expectRefused(editor.toBytes(), "container", "SEAL_MALFORMED")
  })

  test("an extended header that redirects an entry", async () => {
    const record = Buffer.from("24 path=../../escape.txt\n".replace("24", "25"))
    const extended = tarOf([{ name: "pax", bytes: record }]).subarray(0, 1024)
    const header = rawHeader("pax", record.length, (raw) => raw.write("x", 156))
    const bytes = Buffer.concat([header, extended.subarray(512, 1024), rawHeader("innocent", 0), good])
    await expectRefused(bytes, "container", "SEAL_UNSAFE_NAME")
  })

  test("a descriptor that carries other bytes than it names", async () => {
    const editor = await edited()
    const digest = editor.manifests("dev.sigstore")[0]?.digest ?? ""
    const text = editor.blob(digest).bytes.toString()
    for (const data of ["e3=", "e31=", "e30", "W10="]) {
      const changed = editor.copy()
      changed.replaceBlob(digest, Buffer.from(text.replace('"data":"e30="', `"data":"${data}"`)))
      await expectRefused(changed.toBytes(), "container", "SEAL_MALFORMED")
    }
  })

  test("bytes after the end mark", async () => {
    await expectRefused(
      Buffer.concat([good, Buffer.from("more"), Buffer.alloc(508)]),
      "container",
      "SEAL_MALFORMED",
    )
  })

  test("what other tools write is accepted: leading ./, folders, padding to a record", async () => {
    const editor = await edited()
    const entries: SealEntry[] = editor.entries.map(({ name, bytes }) => ({ name: `./${name}`, bytes }))
    const folder = rawHeader("./blobs/", 0, (header) => header.write("5", 156))
    const bytes = Buffer.concat([folder, tarOf(entries), Buffer.alloc(8192)])
    writeFileSync(desk.at("repacked.seal"), bytes)
    expect((await desk.verify(desk.at("repacked.seal"))).verdict).toBe("verified")
  })

  test("what GNU tar makes of the unpacked layout verifies", async () => {
    execFileSync("sh", [
      "-c",
      'mkdir "$2" && tar xf "$1" -C "$2" && tar cf "$3" -C "$2" .',
      "sh",
      desk.at("good.seal"),
      desk.at("unpacked"),
      desk.at("gnu.seal"),
    ])
    expect((await desk.verify(desk.at("gnu.seal"))).verdict).toBe("verified")
  })

  test("no file at all, and a file that is something else", async () => {
    await expectRefused(Buffer.alloc(0), "container", "SEAL_MALFORMED")
    await expectRefused(Buffer.from("PK\u0003\u0004".repeat(1000)), "container", "SEAL_MALFORMED")
    await expectRefused(Buffer.from(TAR_END), "container", "SEAL_INCOMPLETE")
  })
})

describe("the wrong people", () => {
  test("a device the package was not made for is refused by verify, open and run", async () => {
    const verdict = await desk.verify(desk.at("good.seal"), "press-08")
    expect(verdict.checks.find((check) => check.result === "failed")).toMatchObject({
      id: "grant",
      code: "PACKAGE_NOT_FOR_DEVICE",
    })
    await expect(desk.open(desk.at("good.seal"), desk.at("never.onnx"), "press-08")).toFailWithCode(
      "PACKAGE_NOT_FOR_DEVICE",
    )
    expect(existsSync(desk.at("never.onnx"))).toBe(false)
  })

  test("a package whose signer is not trusted", async () => {
    const pem = desk.at("stranger.pem")
    execFileSync("sh", [
      "-c",
      'openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -out "$1" 2>/dev/null',
      "sh",
      pem,
    ])
    const verdict = await desk.verify(desk.at("good.seal"), "press-07", pem)
    expect(verdict.checks.find((check) => check.result === "failed")).toMatchObject({
      id: "signatures",
      code: "SIGNER_UNTRUSTED",
    })
  })

  test("a device whose private key is elsewhere", async () => {
    const { recipient } = await desk.engine.devices.show({ name: "press-07" })
    await desk.engine.devices.add({ name: "far-away", key: { kind: "recipient", recipient } })
    await expect(desk.open(desk.at("good.seal"), desk.at("never.onnx"), "far-away")).toFailWithCode(
      "DEVICE_KEY_ABSENT",
    )
  })

  test("without a device everything but the inside is judged", async () => {
    const verdict = await desk.verify(desk.at("good.seal"), null)
    expect(verdict.verdict).toBe("verified")
    expect(verdict.checks.filter((check) => check.result === "skipped").map((check) => check.id)).toEqual([
      "payload",
      "model",
    ])
  })
})

test("a sealed model with operators nobody knows is refused by run, and opens all the same", async () => {
  await desk.protect("superres_prepost_op18.onnx", desk.at("custom.seal"))
  const file = await desk.engine.files.refer({ path: desk.at("custom.seal") })
  const input = await desk.engine.files.refer({ path: desk.at("good.seal") })
  const ran = followJob(
    await desk.engine.run({
      file,
      device: "press-07",
      trust: null,
      inputs: [{ name: null, file: input }],
      normalise: null,
      batch: null,
      level: null,
      output: null,
    }),
  )
  await expect(ran).toFailWithCode("MODEL_UNSUPPORTED")
  await desk.open(desk.at("custom.seal"), desk.at("custom.onnx"))
})

/** A seal file of chosen manifests (by digest) out of several. */
function compose(sources: readonly (readonly [SealEditor, readonly string[]])[]): Buffer {
  const entries = new Map<string, Buffer>()
  const manifests: object[] = []
  const add = (bytes: Buffer) => entries.set(`blobs/sha256/${digestOf(bytes).slice(7)}`, bytes)
  for (const [editor, digests] of sources) {
    for (const digest of digests) {
      const manifest = editor.blob(digest).bytes
      manifests.push(editor.index.manifests.find((each) => each.digest === digest) ?? {})
      add(manifest)
      const parsed = JSON.parse(manifest.toString()) as {
        config: { digest: string }
        layers: { digest: string }[]
      }
      for (const { digest: blob } of [parsed.config, ...parsed.layers]) add(editor.blob(blob).bytes)
    }
  }
  const type = "application/vnd.oci.image.index.v1+json"
  const artifactType = "application/vnd.sealwright.seal.v1+json"
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, artifactType, manifests }))
  add(index)
  const top = {
    schemaVersion: 2,
    mediaType: type,
    manifests: [{ mediaType: type, digest: digestOf(index), size: index.length }],
  }
  return tarOf([
    ...[...entries].map(([name, bytes]) => ({ name, bytes })),
    { name: "index.json", bytes: Buffer.from(JSON.stringify(top)) },
    { name: "oci-layout", bytes: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
  ])
}
