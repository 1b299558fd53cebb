/** Ways to lie about a .seal file. Each returns altered bytes, or `null` when it does not apply to the sample. */
import { concat, toUtf8 } from "../../main/core/bytes/bytes.ts"
import { TAR_BLOCK_BYTES, TAR_END, tarHeader, tarPadding } from "../../main/core/oci/tar.ts"
import { rawHeader, type SealEditor, type SealEntry } from "../support/seal-editor.ts"
import { makeFleetSeal } from "../support/seal-maker.ts"
import { flipBit } from "./age-lies.ts"
import type { Dice } from "./random.ts"
import type { SealSample, SealWorld } from "./seal-samples.ts"

export type SealLie = (
  sample: SealSample,
  dice: Dice,
  world: SealWorld,
) => Promise<Uint8Array | null> | Uint8Array | null

export const SEAL_LIES: Readonly<Record<string, SealLie>> = {
  "seal: bit flip": ({ bytes }, dice) => flipBit(bytes, 0, bytes.length, dice),
  "seal: bit flip in a tar header": ({ bytes, editor }, dice) => {
    let at = 0
    const stop = dice.below(editor.entries.length)
    for (const { bytes: content } of editor.entries.slice(0, stop))
      at += TAR_BLOCK_BYTES + blocks(content.length)
    return flipBit(bytes, at, at + TAR_BLOCK_BYTES, dice)
  },
  "seal: bit flip in a document": ({ editor }, dice) =>
    changedEntry(editor, dice, isDocument, (bytes) => flipBit(bytes, 0, bytes.length, dice) ?? bytes),
  "seal: truncation": ({ bytes }, dice) => bytes.subarray(0, dice.below(bytes.length - TAR_END.length)),
  "seal: bytes after the end": ({ bytes }, dice) => concat(bytes, dice.bytes(1 + dice.below(2000))),
  "seal: entries exchanged": ({ editor }, dice) => {
    const copy = editor.copy()
    const [a, b] = [dice.pick(copy.entries), dice.pick(copy.entries)]
    ;[a.bytes, b.bytes] = [b.bytes, a.bytes]
    return copy.toBytes()
  },
  "seal: entry removed": ({ editor }, dice) => {
    const copy = editor.copy()
    copy.entries.splice(dice.below(copy.entries.length), 1)
    return copy.toBytes()
  },
  "seal: entry twice": ({ editor }, dice) => {
    const copy = editor.copy()
    copy.entries.push({ ...dice.pick(copy.entries) })
    return copy.toBytes()
  },
  "seal: entry added": ({ editor }, dice) => {
    const copy = editor.copy()
    copy.entries.push({
      name: `blobs/sha256/${"0".repeat(56)}${dice
        .below(10 ** 8)
        .toString(16)
        .padStart(8, "0")}`,
      bytes: Buffer.from(dice.bytes(20)),
    })
    return copy.toBytes()
  },
  "seal: layer of another package": ({ editor }, dice, { samples }) => {
    const other = dice.pick(samples.filter((each) => each.editor !== editor)).editor
    const kind = dice.pick(["package", "grant"])
    const copy = editor.copy()
    const from = layerOf(copy, kind)
    const to = layerOf(other, kind)
    if (from === to) return null
    // With every digest above it made to fit: then only signatures can tell.
    copy.replaceBlob(from, other.blob(to).bytes)
    return copy.toBytes()
  },
  "seal: layer altered, digests made to fit": ({ editor }, dice) => {
    const copy = editor.copy()
    const digest = layerOf(copy, dice.pick(["package", "grant"]))
    const bytes = copy.blob(digest).bytes
    copy.replaceBlob(digest, Buffer.from(flipBit(bytes, 0, bytes.length, dice) ?? bytes))
    return copy.toBytes()
  },
  "seal: bundle altered, digests made to fit": ({ editor }, dice) => {
    const copy = editor.copy()
    const bundles = copy.manifests("dev.sigstore")
    const digest = dice.pick(bundles).manifest.layers[0]?.digest ?? ""
    const text = copy.blob(digest).bytes.toString()
    const bytes = Buffer.from(alteredBundle(text, dice))
    copy.replaceBlob(digest, bytes)
    return copy.toBytes()
  },
  "seal: document altered, digests made to fit": ({ editor }, dice) => {
    const copy = editor.copy()
    const manifests = copy.index.manifests
    const digest = dice.pick(manifests).digest
    const entry = copy.blob(digest)
    copy.replaceBlob(digest, Buffer.from(alteredJson(entry.bytes.toString(), dice)))
    return copy.toBytes()
  },
  "seal: index altered, digests made to fit": ({ editor }, dice) => {
    const copy = editor.copy()
    const top = JSON.parse(copy.entry("index.json").bytes.toString()) as { manifests: { digest: string }[] }
    const digest = top.manifests[0]?.digest ?? ""
    copy.replaceBlob(digest, Buffer.from(alteredJson(copy.blob(digest).bytes.toString(), dice)))
    return copy.toBytes()
  },
  "seal: index.json altered": ({ editor }, dice) => {
    const copy = editor.copy()
    const entry = copy.entry("index.json")
    entry.bytes = Buffer.from(alteredJson(entry.bytes.toString(), dice))
    return copy.toBytes()
  },
  "seal: signatures left out": ({ editor }, dice) => {
    const copy = editor.copy()
    const victim = dice.pick(copy.manifests("dev.sigstore"))
    removePart(copy, victim.digest, victim.manifest.layers[0]?.digest ?? "")
    return copy.toBytes()
  },
  "seal: grant left out": ({ editor }) => {
    const copy = editor.copy()
    const grant = copy.manifests("grant")[0]
    const bundle = copy
      .manifests("dev.sigstore")
      .find(({ manifest }) => manifest.subject?.digest === grant?.digest)
    if (grant === undefined || bundle === undefined) return null
    removePart(copy, bundle.digest, bundle.manifest.layers[0]?.digest ?? "")
    removePart(copy, grant.digest, grant.manifest.layers[0]?.digest ?? "")
    return copy.toBytes()
  },
  "seal: tar trick": ({ editor }, dice) => tarTrick(editor, dice),
  "seal: overlay altered": async (sample, dice, { fleet }) => {
    if (sample.name !== "fleet") return null
    // Inside a grant that is encrypted and signed as it should be: what a careless packager could ship.
    return makeFleetSeal({
      ...fleet,
      overlay: (base, model) => {
        const overlay = fleet.overlay(base, model)
        return overlay === null ? null : alteredOverlay(overlay, dice)
      },
    })
  },
}

function blocks(size: number): number {
  return Math.ceil(size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES
}

function isDocument({ bytes }: SealEntry): boolean {
  return bytes[0] === 0x7b
}

function changedEntry(
  editor: SealEditor,
  dice: Dice,
  isWanted: (entry: SealEntry) => boolean,
  change: (bytes: Uint8Array) => Uint8Array,
): Uint8Array {
  const copy = editor.copy()
  const entry = dice.pick(copy.entries.filter(isWanted))
  entry.bytes = Buffer.from(change(entry.bytes))
  return copy.toBytes()
}

function layerOf(editor: SealEditor, kind: string): string {
  return editor.manifests(kind)[0]?.manifest.layers[0]?.digest ?? ""
}

/** Takes a manifest and its layer out, and its mention in the index, with digests made to fit. */
function removePart(editor: SealEditor, manifest: string, layer: string): void {
  const top = JSON.parse(editor.entry("index.json").bytes.toString()) as { manifests: { digest: string }[] }
  const indexDigest = top.manifests[0]?.digest ?? ""
  const index = JSON.parse(editor.blob(indexDigest).bytes.toString()) as { manifests: { digest: string }[] }
  const shorter = { ...index, manifests: index.manifests.filter(({ digest }) => digest !== manifest) }
  for (const digest of [manifest, layer]) {
    const at = editor.entries.findIndex(({ name }) => name.endsWith(digest.slice(7)))
    if (at >= 0) editor.entries.splice(at, 1)
  }
  editor.replaceBlob(indexDigest, Buffer.from(JSON.stringify(shorter)))
}

/** A document that strict JSON or the schemas of FORMAT 3 must refuse, or that no longer fits what is around it. */
function alteredJson(text: string, dice: Dice): string {
  // Annotations of a bundle's manifest are for people and tools; nothing is believed because they say so (FORMAT 7.2).
  const free = text.indexOf('"annotations"')
  const at = dice.below(free < 0 ? text.length : free)
  const ways: (() => string)[] = [
    () => text.replace("{", '{"schemaVersion":2,'),
    () => text.replace('"digest":"', `"digest":"sha256:${"0".repeat(64)}","digest":"`),
    () =>
      text.replace(
        /"size":\d+/,
        `"size":${dice.pick(["-1", "1e400", "9007199254740993", "0.5", '"1"', "null", "1e308"])}`,
      ),
    () => text.replace(/"schemaVersion":2/, '"schemaVersion":1'),
    () => text.replace(/}$/, ',"extra":true}'),
    () => text.replace(/}$/, `,"annotations":${"[".repeat(200)}${"]".repeat(200)}}`),
    () => text.replace(/}$/, `,"annotations":{"__proto__":${"9".repeat(40)}}}`),
    () => text.replace('"data":"e30="', `"data":"${dice.pick(["", "e3=", "e31=", "e30", "W10="])}"`),
    () => `\ufeff${text}`,
    () => `${text}${text}`,
    () => text.replace(/"manifests":\[/, '"manifests":[null,'),
    () => text.replace(/"layers":\[/, '"layers":[{},'),
    () => text.replace(/sha256:/, "sha512:"),
    () => text.replace(/"mediaType":"[^"]*"/, '"mediaType":"text/html"'),
    () => text.replaceAll("vnd.sealwright", "vnd.sealwrong"),
    () => `${text.slice(0, at)}\u0000${text.slice(at)}`,
    () => `${text.slice(0, at)}${text.slice(at + 1)}`,
    () => text.slice(0, at),
    () => `[${text}]`,
    () => "[".repeat(1 + dice.below(100_000)),
    () => `{"a":${"9".repeat(1 + dice.below(100_000))}}`,
    () => `{"manifests":[${"{},".repeat(1 + dice.below(5000))}{}]}`,
  ]
  return dice.pick(ways)()
}

/** A bundle whose signature is no longer one over what it says. */
function alteredBundle(text: string, dice: Dice): string {
  const bundle = JSON.parse(text) as {
    dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string }[] }
  }
  const envelope = bundle.dsseEnvelope
  const [signature] = envelope.signatures
  if (signature === undefined) throw new Error("a bundle without a signature")
  const flipText = (value: string) => {
    const bytes = Buffer.from(value, "base64")
    const at = dice.below(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.below(8))
    return bytes.toString("base64")
  }
  const ways: (() => void)[] = [
    () => (envelope.payload = flipText(envelope.payload)),
    () => (signature.sig = flipText(signature.sig)),
    () => (signature.sig = Buffer.from(dice.bytes(70)).toString("base64")),
    () => (signature.sig = ""),
    // r = s = 0, r = s = 1: what broken checks accept.
    () =>
      (signature.sig = Buffer.from(dice.pick(["3006020100020100", "3006020101020101"]), "hex").toString(
        "base64",
      )),
    () => (envelope.payloadType = "text/plain"),
    () => (envelope.signatures = []),
    () => envelope.signatures.push({ ...signature }),
    () =>
      (envelope.payload = Buffer.from(`${Buffer.from(envelope.payload, "base64").toString()} `).toString(
        "base64",
      )),
  ]
  dice.pick(ways)()
  return JSON.stringify(bundle)
}

function tarTrick(editor: SealEditor, dice: Dice): Uint8Array {
  const evil = Buffer.from("evil")
  const copy = editor.copy()
  const genuine = copy.toBytes().subarray(0, -TAR_END.length)
  const entry = (header: Uint8Array, content: Uint8Array = evil) =>
    concat(genuine, header, content, tarPadding(content.length), TAR_END)
  const pax = (record: string) => {
    const body = toUtf8(`${record.length + 4} ${record}\n`)
    return concat(
      rawHeader("PaxHeader", body.length, (header) => header.write("x", 156)),
      body,
      tarPadding(body.length),
    )
  }
  const ways: (() => Uint8Array)[] = [
    () =>
      entry(
        rawHeader(
          dice.pick([
            "../evil",
            "/etc/evil",
            "a/../../evil",
            "C:evil",
            "a\\b",
            "a//b",
            "./../x",
            "",
            ".",
            "a/./b",
            "a\nb",
          ]),
          evil.length,
        ),
      ),
    () => entry(rawHeader(Buffer.from([0xff, 0xfe, 0x41]), evil.length)),
    // Links, devices, GNU long names and sparse files, global headers, vendor types.
    () =>
      entry(
        rawHeader("evil", evil.length, (header) =>
          header.write(dice.pick(["1", "2", "3", "4", "6", "7", "L", "K", "S", "g", "V", "Z"]), 156),
        ),
      ),
    () =>
      entry(
        concat(
          pax(
            dice.pick([
              "path=../evil",
              "linkpath=evil",
              "GNU.sparse.name=evil",
              "size=-1",
              "size=99999999999",
              "size=1e9",
              "hdrcharset=BINARY",
            ]),
          ),
          tarHeader("ok", evil.length),
        ),
      ),
    () => entry(concat(pax("path=a"), pax("path=b"), tarHeader("ok", evil.length))),
    () => entry(pax("path=a"), new Uint8Array(0)),
    () =>
      entry(
        rawHeader("evil", 0, (header) =>
          header.write(dice.pick(["77777777777", "-0000000001", "0000000009", "           "]), 124),
        ),
      ),
    () =>
      entry(
        rawHeader("evil", 0, (header) => {
          header.fill(0xff, 124, 136)
        }),
      ),
    () =>
      entry(
        rawHeader("evil", 0, (header) => {
          header.fill(0, 124, 136)
          header[124] = 0x80
          header.writeBigUInt64BE(2n ** 62n, 128)
        }),
      ),
    () => entry(rawHeader("x", evil.length, (header) => header.write("../../evil", 345))),
    () => entry(rawHeader("evil", evil.length, (header) => header.write("nostar", 257))),
    () => concat(genuine, new Uint8Array(TAR_BLOCK_BYTES), rawHeader("evil", 0), TAR_END),
    () => concat(genuine, new Uint8Array(TAR_BLOCK_BYTES)),
    () => concat(genuine, new Uint8Array(3 << 20)),
    () => concat(genuine, ...Array.from({ length: 400 }, (_, index) => rawHeader(`d${index}/x`, 0)), TAR_END),
  ]
  return dice.pick(ways)()
}

function alteredOverlay(overlay: Uint8Array, dice: Dice): Uint8Array {
  const ways: (() => Uint8Array)[] = [
    () => flipBit(overlay, 0, overlay.length, dice) ?? overlay,
    () => overlay.subarray(0, dice.below(overlay.length)),
    () => concat(overlay, dice.bytes(1 + dice.below(9))),
    () => concat(overlay.subarray(0, 128), dice.bytes(32), overlay.subarray(160)),
    () => concat(overlay.subarray(0, 160), dice.bytes(overlay.length - 160)),
  ]
  return dice.pick(ways)()
}
