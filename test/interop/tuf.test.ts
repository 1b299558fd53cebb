/** What we sign is checked by other people's code: OpenSSL for one signature, tuf-js for a whole repository. */
import { canonicalize } from "@tufjs/canonical-json"
import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { Updater } from "tuf-js"
import { expect, test } from "vitest"
import { FolderFetcher } from "../support/folder-fetcher.ts"
import { initShop, Shop, type Place } from "../support/shop.ts"
import { temporaryFolder } from "../support/workspace.ts"

interface MetadataJson {
  readonly signed: { readonly keys?: Record<string, { readonly keyval: { readonly public: string } }> }
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[]
}

const read = (place: Place, name: string): MetadataJson =>
  JSON.parse(readFileSync(path.join(place.workspace, "documents", "tuf", name), "utf8")) as MetadataJson

test("OpenSSL verifies the signature of our root over its canonical form", async () => {
  const folder = temporaryFolder()
  const desk = new Shop(folder).place("desk")
  await initShop(desk)
  const { signed, signatures } = read(desk, "image/1.root.json")
  const [signature] = signatures
  const pem = signed.keys?.[signature?.keyid ?? ""]?.keyval.public ?? ""
  writeFileSync(path.join(folder, "key.pem"), pem)
  writeFileSync(path.join(folder, "signed"), canonicalize(signed))
  writeFileSync(path.join(folder, "sig"), Buffer.from(signature?.sig ?? "", "hex"))
  const verify = () =>
    execFileSync("openssl", ["dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "signed"], {
      cwd: folder,
      encoding: "utf8",
    })
  expect(verify()).toContain("Verified OK")
  writeFileSync(path.join(folder, "signed"), canonicalize({ ...signed, version: 2 }))
  expect(verify).toThrow()
})

test("tuf-js accepts our image repository from its first root", async () => {
  const folder = temporaryFolder()
  // tuf-js reads the computer's clock itself, so the repository is made today.
  const desk = new Shop(folder, new Date().toISOString()).place("desk")
  await initShop(desk)
  await desk.engine.trust.change({ kind: "rotate", roles: {}, gates: null, offlineDays: null })
  const repository = path.join(desk.workspace, "documents", "tuf", "image")
  const client = path.join(folder, "client")
  mkdirSync(client)
  writeFileSync(path.join(client, "root.json"), readFileSync(path.join(repository, "1.root.json")))
  const updater = new Updater({
    metadataDir: client,
    metadataBaseUrl: "folder://",
    fetcher: new FolderFetcher(repository),
  })
  await updater.refresh()
  const kept = JSON.parse(readFileSync(path.join(client, "root.json"), "utf8")) as {
    readonly signed: { readonly version: number }
  }
  expect(kept.signed.version).toBe(2)
})
