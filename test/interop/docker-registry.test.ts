/** The port against Debian's docker-registry, with skopeo as the second client. */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { sha256Digest } from "../../main/core/oci/manifest.ts"
import { MEDIA } from "../../main/core/oci/media-types.ts"
import { fallbackTag, type Repository } from "../../main/services/ports/registry.ts"
import { dockerRegistry, type DockerRegistry } from "../support/docker-registry.ts"
import { openRemote } from "../support/registry-client.ts"
import { attachBundle, putPackage, runWriter } from "../support/registry-data.ts"
import { sharedFolder, temporaryFolder } from "../support/workspace.ts"

const PAYLOAD = new Uint8Array(randomBytes(3 << 20))
const BLOB = { digest: sha256Digest(PAYLOAD), size: PAYLOAD.length }
/** Real work beside other work: silence may last longer here than where it is made on purpose. */
const patience = {
  idleMs: 20_000,
  documentMs: 20_000,
  retry: { attempts: 8, baseMs: 50, capMs: 2000 },
} as const

function useRegistry(options?: Parameters<typeof dockerRegistry>[1]): { readonly get: () => DockerRegistry } {
  const folder = sharedFolder()
  let registry: DockerRegistry | null = null
  beforeAll(async () => {
    registry = await dockerRegistry(folder, options)
    await registry.start()
  })
  afterAll(async () => registry?.kill())
  return {
    get() {
      if (registry === null) throw new Error("the registry starts with the first test")
      return registry
    },
  }
}

describe("plain", () => {
  const registry = useRegistry()
  let count = 0
  /** A repository nobody else uses. */
  const fresh = (): Repository => openRemote(`${registry.get().host}/models/press-${count++}`, { patience })
  const skopeo = (...args: readonly string[]) =>
    execFileSync("skopeo", ["copy", "--src-tls-verify=false", "--dest-tls-verify=false", ...args], {
      stdio: "pipe",
    })

  test("what is not there is null", async () => {
    const repository = fresh()
    expect(await repository.blobSize(BLOB.digest)).toBeNull()
    expect(await repository.manifest("v1")).toBeNull()
    expect(await repository.manifestDigest("v1")).toBeNull()
    expect(await repository.tags()).toEqual([])
    expect(await repository.referrers(BLOB.digest)).toEqual([])
    await expect(repository.deleteManifest(BLOB.digest)).toFailWithCode("REGISTRY_NOT_FOUND")
  })

  test("what we push skopeo pulls, with the digest kept", async () => {
    const repository = fresh()
    const { descriptor } = await putPackage(repository, PAYLOAD, "v1")
    const layout = path.join(temporaryFolder(), "layout")
    skopeo(`docker://${repository.name}:v1`, `oci:${layout}:v1`)
    const index = JSON.parse(readFileSync(path.join(layout, "index.json"), "utf8")) as {
      readonly manifests: readonly { readonly digest: string }[]
    }
    expect(index.manifests.map(({ digest }) => digest)).toEqual([descriptor.digest])
    expect(readFileSync(path.join(layout, "blobs", "sha256", BLOB.digest.slice(7))).equals(PAYLOAD)).toBe(
      true,
    )
  })

  test("what skopeo pushes we pull, with the digest kept", async () => {
    const [first, second] = [fresh(), fresh()]
    const manifest = await putPackage(first, PAYLOAD, "v1")
    skopeo(`docker://${first.name}:v1`, `docker://${second.name}:copied`)
    expect(await second.manifest("copied")).toEqual(manifest)
    const name = path.join(temporaryFolder(), "payload")
    const file = openSync(name, "w")
    await second.fetchBlob(BLOB, { file, offset: 512 })
    closeSync(file)
    expect(readFileSync(name).subarray(512).equals(PAYLOAD)).toBe(true)
  })

  test("a list of referrers survives a copy by skopeo, which drops the field that says what they are", async () => {
    const [first, second] = [fresh(), fresh()]
    const { descriptor } = await putPackage(first, PAYLOAD, "v1")
    const bundle = await attachBundle(first, descriptor, "a")
    const tag = fallbackTag(descriptor.digest)
    skopeo(`docker://${first.name}:v1`, `docker://${second.name}:v1`)
    skopeo("--all", `docker://${first.name}:${tag}`, `docker://${second.name}:${tag}`)
    const found = await second.referrers(descriptor.digest)
    expect(found.map((each) => [each.descriptor.digest, each.artifactType])).toEqual([
      [bundle.digest, MEDIA.bundle],
    ])
  })

  test("a blob of several chunks arrives whole", async () => {
    const repository = fresh()
    const bytes = Buffer.concat([randomBytes(64 << 20), randomBytes(64 << 20), randomBytes(3)])
    const blob = { digest: sha256Digest(bytes), size: bytes.length }
    const name = path.join(temporaryFolder(), "source")
    writeFileSync(name, Buffer.concat([Buffer.alloc(99), bytes]))
    const file = openSync(name, "r")
    onTestFinished(() => closeSync(file))
    const held = liveBuffers()
    const seen: number[] = []
    const note = (done: number) => {
      seen.push(done)
      if (seen.length % 16 === 0) held.look()
    }
    expect(await repository.putBlob(blob, { kind: "file", file, offset: 99 }, note)).toBe("stored")
    const back: number[] = []
    const target = openSync(path.join(temporaryFolder(), "target"), "w+")
    onTestFinished(() => closeSync(target))
    await repository.fetchBlob(blob, { file: target, offset: 0 }, (done) => {
      back.push(done)
      if (back.length % 16 === 0) held.look()
    })
    expect([back.at(-1), back.length > 16]).toEqual([blob.size, true])
    // Of 128 MiB each way no more is ever in use than what is on its way.
    expect(held.most()).toBeLessThan(16 << 20)
    expect(await repository.putBlob(blob, { kind: "file", file, offset: 99 })).toBe("present")
    expect(await repository.blobSize(blob.digest)).toBe(blob.size)
    expect(seen.at(-1)).toBe(blob.size)
    expect(seen).toEqual(seen.toSorted((a, b) => a - b))
  })

  test("a blob is mounted from another repository instead of sent", async () => {
    const [first, second] = [fresh(), fresh()]
    await first.putBlob(BLOB, { kind: "bytes", bytes: PAYLOAD })
    const place = registry.get()
    const other = openRemote(second.name, { patience })
    expect(place.host).toBe(second.name.split("/")[0])
    expect(await first.below("grants").mountBlob(BLOB, first)).toBe(true)
    expect(await first.below("grants").blobSize(BLOB.digest)).toBe(BLOB.size)
    // One session to another: what is not of the same registry is not mounted.
    expect(await other.mountBlob(BLOB, first)).toBe(false)
    expect(
      await first.mountBlob({ digest: sha256Digest(new Uint8Array(1)), size: 1 }, first.below("x")),
    ).toBe(false)
  })

  test("a manifest that is deleted is gone, and so is its entry among the referrers", async () => {
    const repository = fresh()
    const { descriptor } = await putPackage(repository, PAYLOAD, "v1")
    const bundle = await attachBundle(repository, descriptor, "a")
    const kept = await attachBundle(repository, descriptor, "b")
    await repository.deleteManifest(bundle.digest)
    expect((await repository.referrers(descriptor.digest)).map((each) => each.descriptor.digest)).toEqual([
      kept.digest,
    ])
    await repository.deleteManifest(descriptor.digest)
    expect(await repository.manifest("v1")).toBeNull()
  })

  test("a manifest whose blobs are missing is refused", async () => {
    const repository = fresh()
    const other = fresh()
    const manifest = await putPackage(other, PAYLOAD, "v1")
    await expect(repository.putManifest(manifest, "v1")).toFailWithCode("REGISTRY_REFUSED")
  })

  test("six processes that attach at once lose no entry", async () => {
    const repository = fresh()
    const { descriptor } = await putPackage(repository, PAYLOAD, "v1")
    const place = { kind: "remote", repository: repository.name, plainHttp: true, authority: null } as const
    const writers = ["a", "b", "c", "d", "e", "f"]
    const reported = await Promise.all(writers.map(async (name) => runWriter(place, descriptor, name, 4)))
    const found = (await repository.referrers(descriptor.digest)).map((each) => each.descriptor.digest)
    expect(reported.flat()).toHaveLength(24)
    expect(reported.flat().filter((digest) => !found.includes(digest))).toEqual([])
    expect(new Set(found).size).toBe(24)
  })
})

describe("behind TLS and a password", () => {
  const login = { username: "press", password: "s3cret-of-press" } as const
  const registry = useRegistry({ tls: true, login, deletes: false })
  const open = (options: Parameters<typeof openRemote>[1] = {}, name = "press") =>
    openRemote(`${registry.get().host}/models/${name}`, {
      plainHttp: false,
      authority: registry.get().authority,
      credential: { kind: "password", ...login },
      patience,
      ...options,
    })

  test("a package goes there and back", async () => {
    const manifest = await putPackage(open(), PAYLOAD, "v1")
    await attachBundle(open(), manifest.descriptor, "a")
    expect(await open().manifest("v1")).toEqual(manifest)
    expect(await open().referrers(manifest.descriptor.digest)).toHaveLength(1)
    expect(Buffer.from(await open().readBlob(BLOB, 1 << 30)).equals(PAYLOAD)).toBe(true)
  })

  test("skopeo takes out what we put there and puts in what we take out, with the digests kept", async () => {
    const certificates = temporaryFolder()
    writeFileSync(path.join(certificates, "ca.crt"), readFileSync(registry.get().authority ?? ""))
    const logIn = `${login.username}:${login.password}`
    const theirs = (side: "src" | "dest") => [
      `--${side}-cert-dir=${certificates}`,
      `--${side}-creds=${logIn}`,
    ]
    const skopeo = (...args: readonly string[]) =>
      execFileSync("skopeo", ["copy", ...args], { stdio: "pipe" })
    const ours = open()
    const manifest = await putPackage(ours, PAYLOAD, "ours")
    const layout = path.join(temporaryFolder(), "layout")
    skopeo(...theirs("src"), `docker://${ours.name}:ours`, `oci:${layout}:ours`)
    const index = JSON.parse(readFileSync(path.join(layout, "index.json"), "utf8")) as {
      readonly manifests: readonly { readonly digest: string }[]
    }
    expect(index.manifests.map(({ digest }) => digest)).toEqual([manifest.descriptor.digest])
    skopeo(...theirs("dest"), `oci:${layout}:ours`, `docker://${registry.get().host}/models/theirs:1`)
    const second = open({}, "theirs")
    expect(await second.manifest("1")).toEqual(manifest)
    expect(Buffer.from(await second.readBlob(BLOB, 1 << 30)).equals(PAYLOAD)).toBe(true)
    // Not because nobody looks: without the login, or the authority, it is refused as we are.
    const refused = [`--src-cert-dir=${certificates}`, `docker://${ours.name}:ours`, `oci:${layout}:again`]
    expect(() => skopeo(...refused)).toThrow(/unauthorized|authentication required/)
    expect(() => skopeo(`--src-creds=${logIn}`, ...refused.slice(1))).toThrow(/certificate/)
  })

  test("nobody enters without the certificate's authority, the right password, or TLS", async () => {
    await expect(open({ authority: null }).tags()).toFailWithCode("REGISTRY_TLS")
    const wrong = { kind: "password", username: "press", password: "wrong" } as const
    await expect(open({ credential: wrong }).tags()).toFailWithCode("REGISTRY_UNAUTHORIZED")
    const nobody = openRemote(`${registry.get().host}/models/press`, {
      plainHttp: false,
      authority: registry.get().authority,
    })
    await expect(nobody.tags()).toFailWithCode("REGISTRY_UNAUTHORIZED")
    await expect(open({ plainHttp: true }).tags()).rejects.toThrow()
  })

  test("deleting where it is switched off is unsupported", async () => {
    const manifest = await putPackage(open(), PAYLOAD.subarray(1), "v2")
    await expect(open().deleteManifest(manifest.descriptor.digest)).toFailWithCode("REGISTRY_UNSUPPORTED")
  })
})

/** Bytes of buffers that are in use beyond those of now: what is merely not collected yet is collected before each look. */
function liveBuffers() {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void // V8's own function, once the flag is set
  const inUse = () => {
    collect()
    return process.memoryUsage().arrayBuffers
  }
  const before = inUse()
  let most = 0
  return { look: () => void (most = Math.max(most, inUse() - before)), most: () => most }
}
