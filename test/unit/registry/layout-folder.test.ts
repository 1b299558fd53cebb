/** A repository in a folder: what skopeo thinks of it, and what is left when its writers die. */
import { execFileSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import path from "node:path"
import { expect, test } from "vitest"
import { blobOf, sha256Digest } from "../../../main/core/oci/manifest.ts"
import { MEDIA } from "../../../main/core/oci/media-types.ts"
import { LayoutFolder } from "../../../main/platform/registry/layout-folder.ts"
import { fallbackTag, type Repository } from "../../../main/services/ports/registry.ts"
import { attachBundle, putPackage, runWriter } from "../../support/registry-data.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const signal = new AbortController().signal
const PAYLOAD = new Uint8Array(randomBytes(3 << 20))

function folder(): { readonly path: string; readonly repository: Repository } {
  const place = path.join(temporaryFolder(), "layout")
  return { path: place, repository: new LayoutFolder(place, signal) }
}

const blobPath = (layout: string, digest: string) => path.join(layout, "blobs", "sha256", digest.slice(7))

test("a package put is found by tag and digest, and skopeo copies it with its digest kept", async () => {
  const { path: layout, repository } = folder()
  const manifest = await putPackage(repository, PAYLOAD, "v1")
  expect(await repository.manifestDigest("v1")).toBe(manifest.descriptor.digest)
  expect(await repository.manifest("v1")).toEqual(manifest)
  expect(await repository.manifest(manifest.descriptor.digest)).toEqual(manifest)
  expect(await repository.tags()).toEqual(["v1"])
  const copy = path.join(temporaryFolder(), "copy")
  execFileSync("skopeo", ["copy", `oci:${layout}:v1`, `oci:${copy}:v1`], { stdio: "pipe" })
  expect(await new LayoutFolder(copy, signal).manifestDigest("v1")).toBe(manifest.descriptor.digest)
})

test("what skopeo wrote is read, and stays as it was when more is added", async () => {
  const first = folder()
  const manifest = await putPackage(first.repository, PAYLOAD, "v1")
  const second = folder()
  execFileSync("skopeo", ["copy", `oci:${first.path}:v1`, `oci:${second.path}:by-skopeo`], { stdio: "pipe" })
  const other = await putPackage(second.repository, PAYLOAD.subarray(1), "v2")
  expect(await second.repository.tags()).toEqual(["by-skopeo", "v2"])
  expect(await second.repository.manifestDigest("by-skopeo")).toBe(manifest.descriptor.digest)
  expect(await second.repository.manifestDigest("v2")).toBe(other.descriptor.digest)
})

test("what is not there is null, and reading it is an error", async () => {
  const { repository } = folder()
  const digest = sha256Digest(PAYLOAD)
  expect(await repository.blobSize(digest)).toBeNull()
  expect(await repository.manifest("v1")).toBeNull()
  expect(await repository.manifest(digest)).toBeNull()
  expect(await repository.tags()).toEqual([])
  expect(await repository.referrers(digest)).toEqual([])
  await expect(repository.readBlob({ digest, size: 3 }, 10)).toFailWithCode("REGISTRY_NOT_FOUND")
})

test("a blob comes from a stretch of a file and goes to a stretch of another", async () => {
  const { repository } = folder()
  const source = path.join(temporaryFolder(), "source")
  writeFileSync(source, Buffer.concat([Buffer.alloc(777), PAYLOAD, Buffer.alloc(5)]))
  const blob = { digest: sha256Digest(PAYLOAD), size: PAYLOAD.length }
  const from = await open(source, "r")
  expect(await repository.putBlob(blob, { kind: "file", file: from.fd, offset: 777 })).toBe("stored")
  expect(await repository.putBlob(blob, { kind: "file", file: from.fd, offset: 777 })).toBe("present")
  await from.close()
  const target = path.join(temporaryFolder(), "target")
  const to = await open(target, "w")
  const seen: number[] = []
  await repository.fetchBlob(blob, { file: to.fd, offset: 512 }, (done) => seen.push(done))
  await to.close()
  expect(readFileSync(target).subarray(512).equals(PAYLOAD)).toBe(true)
  expect(seen).toEqual([1 << 20, 2 << 20, 3 << 20])
})

test("content that is not what its name says is never published", async () => {
  const { path: layout, repository } = folder()
  const blob = { digest: sha256Digest(PAYLOAD), size: PAYLOAD.length }
  const wrong = Uint8Array.from(PAYLOAD)
  wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1
  await expect(repository.putBlob(blob, { kind: "bytes", bytes: wrong })).toFailWithCode(
    "SEAL_DIGEST_MISMATCH",
  )
  expect(await repository.blobSize(blob.digest)).toBeNull()
  expect(readdirSync(path.join(layout, ".sealwright"))).toEqual([])
})

test("a blob that was altered, cut or outgrew its limit in the folder is refused when read", async () => {
  const { path: layout, repository } = folder()
  const { descriptor } = blobOf(MEDIA.bundle, PAYLOAD)
  await repository.putBlob(descriptor, { kind: "bytes", bytes: PAYLOAD })
  const target = await open(path.join(temporaryFolder(), "target"), "w")
  const fetch = async () => repository.fetchBlob(descriptor, { file: target.fd, offset: 0 })
  await expect(repository.readBlob(descriptor, 100)).toFailWithCode("REGISTRY_TOO_LARGE")
  const altered = Buffer.from(PAYLOAD)
  altered[0] = (altered[0] ?? 0) ^ 1
  writeFileSync(blobPath(layout, descriptor.digest), altered)
  await expect(fetch()).toFailWithCode("REGISTRY_DIGEST_MISMATCH")
  await expect(repository.readBlob(descriptor, 1 << 30)).toFailWithCode("REGISTRY_DIGEST_MISMATCH")
  truncateSync(blobPath(layout, descriptor.digest), 100)
  await expect(fetch()).toFailWithCode("REGISTRY_TRUNCATED")
  await target.close()
})

test("a tag that moves leaves the manifest it pointed to in reach", async () => {
  const { repository } = folder()
  const first = await putPackage(repository, PAYLOAD, "v1")
  const second = await putPackage(repository, PAYLOAD.subarray(1), "v1")
  expect(await repository.manifestDigest("v1")).toBe(second.descriptor.digest)
  expect(await repository.manifest(first.descriptor.digest)).toEqual(first)
})

test("bundles are listed for what they are attached to, in the order they came, once", async () => {
  const { path: layout, repository } = folder()
  const { descriptor } = await putPackage(repository, PAYLOAD, "v1")
  const attached: string[] = []
  for (const text of ["a", "b", "c", "b"])
    attached.push((await attachBundle(repository, descriptor, text)).digest)
  const found = await repository.referrers(descriptor.digest)
  expect(found.map((referrer) => referrer.descriptor.digest)).toEqual(attached.slice(0, 3))
  expect(new Set(found.map(({ artifactType }) => artifactType))).toEqual(new Set([MEDIA.bundle]))
  expect(await repository.tags()).toEqual([fallbackTag(descriptor.digest), "v1"].sort())
  // Nothing is left of the lists that newer ones replaced: payload, 3 bundles, 3 + 1 manifests, configuration, list.
  expect(readdirSync(path.join(layout, "blobs", "sha256"))).toHaveLength(10)
})

test("a manifest that is deleted is gone from tags and from the list of referrers", async () => {
  const { repository } = folder()
  const { descriptor } = await putPackage(repository, PAYLOAD, "v1")
  const bundle = await attachBundle(repository, descriptor, "a")
  await attachBundle(repository, descriptor, "b")
  await repository.deleteManifest(bundle.digest)
  expect(await repository.referrers(descriptor.digest)).toHaveLength(1)
  await repository.deleteManifest(descriptor.digest)
  expect(await repository.manifest("v1")).toBeNull()
  await expect(repository.deleteManifest(descriptor.digest)).toFailWithCode("REGISTRY_NOT_FOUND")
})

test("a blob is mounted from another folder by name, and only from a folder", async () => {
  const { path: layout, repository } = folder()
  const blob = { digest: sha256Digest(PAYLOAD), size: PAYLOAD.length }
  await repository.putBlob(blob, { kind: "bytes", bytes: PAYLOAD })
  expect(await repository.below("grants").mountBlob(blob, repository)).toBe(true)
  expect(await repository.below("grants").blobSize(blob.digest)).toBe(blob.size)
  expect(existsSync(path.join(layout, "grants", "oci-layout"))).toBe(true)
  expect(await repository.mountBlob({ digest: sha256Digest(new Uint8Array(1)), size: 1 }, repository)).toBe(
    false,
  )
})

test("a folder of other things is not written to", async () => {
  const place = temporaryFolder()
  writeFileSync(path.join(place, "thesis.txt"), "mine")
  await expect(putPackage(new LayoutFolder(place, signal), PAYLOAD, "v1")).toFailWithCode("OUTPUT_UNWRITABLE")
  expect(readdirSync(place)).toEqual(["thesis.txt"])
})

test.each(["../x", "", "-a", "a b", "x".repeat(129)])("the tag %j is refused", async (tag) => {
  await expect(putPackage(folder().repository, PAYLOAD, tag)).toFailWithCode("REGISTRY_REFERENCE_INVALID")
})

test("a digest cannot lead outside of the folder", async () => {
  await expect(folder().repository.blobSize("sha256:../../../../etc/passwd")).toFailWithCode(
    "REGISTRY_REFERENCE_INVALID",
  )
})

test("cancelling ends a transfer and leaves nothing", async () => {
  const abort = new AbortController()
  const layout = path.join(temporaryFolder(), "layout")
  const repository = new LayoutFolder(layout, abort.signal)
  const blob = { digest: sha256Digest(PAYLOAD), size: PAYLOAD.length }
  const source = path.join(temporaryFolder(), "source")
  writeFileSync(source, PAYLOAD)
  const from = await open(source, "r")
  const put = repository.putBlob(blob, { kind: "file", file: from.fd, offset: 0 }, () => abort.abort())
  await expect(put).rejects.toHaveProperty("name", "AbortError")
  await from.close()
  expect(readdirSync(path.join(layout, "blobs", "sha256"))).toEqual([])
  expect(readdirSync(path.join(layout, ".sealwright"))).toEqual([])
})

test("five processes that attach at once, two of them killed, lose nothing that was reported as stored", async () => {
  const { path: layout, repository } = folder()
  const { descriptor } = await putPackage(repository, PAYLOAD, "v1")
  const place = { kind: "folder", folder: layout } as const
  const reported = await Promise.all([
    ...["a", "b", "c"].map(async (name) => runWriter(place, descriptor, name, 8)),
    ...["d", "e"].map(async (name) => runWriter(place, descriptor, name, 1000, 5)),
  ])
  expect(reported.slice(0, 3).map((digests) => digests.length)).toEqual([8, 8, 8])
  const found = new Set((await repository.referrers(descriptor.digest)).map((each) => each.descriptor.digest))
  expect(reported.flat().filter((digest) => !found.has(digest))).toEqual([])
  // Every blob is what its name says, and the next writer sweeps up after the dead.
  await attachBundle(repository, descriptor, "last")
  for (const name of readdirSync(path.join(layout, "blobs", "sha256")))
    expect(
      createHash("sha256")
        .update(readFileSync(blobPath(layout, `sha256:${name}`)))
        .digest("hex"),
    ).toBe(name)
  expect(readdirSync(path.join(layout, ".sealwright"))).toEqual(["lock"])
})

test("a partial file of a process that is gone is removed by the next writer", async () => {
  const { path: layout, repository } = folder()
  mkdirSync(path.join(layout, ".sealwright"), { recursive: true })
  writeFileSync(path.join(layout, ".sealwright", "4194999-00ff00ff00ff00ff.partial"), "left over")
  await putPackage(repository, PAYLOAD, "v1")
  expect(readdirSync(path.join(layout, ".sealwright"))).toEqual(["lock"])
})
