/** What a registry, or whoever sits in between, may do to us: nothing is lost, and nothing is accepted that should not be. */
import { createHash, randomBytes } from "node:crypto"
import { openSync, closeSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import path from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import type { ErrorCode } from "../../../main/contract/errors.ts"
import { toUtf8 } from "../../../main/core/bytes/bytes.ts"
import { packageManifest, sha256Digest } from "../../../main/core/oci/manifest.ts"
import type { Repository } from "../../../main/services/ports/registry.ts"
import {
  faultyRegistry,
  listen,
  type Fault,
  type FaultyRegistry,
  type Script,
} from "../../support/faulty-registry.ts"
import { openRemote, type ClientOptions } from "../../support/registry-client.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const BYTES = randomBytes(5 << 20)
const BLOB = { digest: sha256Digest(BYTES), size: BYTES.length }
const MANIFEST = packageManifest(BLOB)

interface Place {
  readonly registry: FaultyRegistry
  readonly repository: Repository
}

async function place(script: Script, options?: ClientOptions): Promise<Place> {
  const registry = await faultyRegistry(script)
  registry.blobs.set(BLOB.digest, BYTES)
  registry.manifests.set("v1", Buffer.from(MANIFEST.bytes))
  registry.manifests.set(MANIFEST.descriptor.digest, Buffer.from(MANIFEST.bytes))
  return { registry, repository: openRemote(`${registry.host}/press`, options) }
}

/** The faults in this order, one a request; after them everything is answered properly. */
const inOrder =
  (...faults: readonly (Fault | undefined)[]): Script =>
  (_asked, index) =>
    faults[index]

const always =
  (fault: Fault): Script =>
  () =>
    fault

function openFile(flags: string, bytes?: Uint8Array): { readonly file: number; readonly path: string } {
  const name = path.join(temporaryFolder(), "file")
  if (bytes !== undefined) writeFileSync(name, bytes)
  const file = openSync(name, flags)
  onTestFinished(() => closeSync(file))
  return { file, path: name }
}

/** Fetches the blob; returns what stands in the file. */
async function fetch({ repository }: Place, blob = BLOB): Promise<Buffer> {
  const { file, path: name } = openFile("w+")
  await repository.fetchBlob(blob, { file, offset: 0 })
  return readFileSync(name)
}

async function put({ repository }: Place): Promise<"stored" | "present"> {
  const { file } = openFile("r", BYTES)
  return repository.putBlob(BLOB, { kind: "file", file, offset: 0 })
}

describe("a registry that has trouble", () => {
  test.each([408, 429, 500, 502, 503, 504])("and answers %i twice is asked a third time", async (status) => {
    const there = await place(inOrder({ status }, { status, headers: { "retry-after": "0" } }))
    expect((await fetch(there)).equals(BYTES)).toBe(true)
    expect(there.registry.asked).toHaveLength(3)
  })

  test.each([
    [503, "REGISTRY_BUSY"],
    [429, "REGISTRY_BUSY"],
    [500, "REGISTRY_REFUSED"],
    [504, "REGISTRY_REFUSED"],
  ] as const)("and goes on answering %i is given up as %s", async (status, code) => {
    const there = await place(always({ status }))
    await expect(fetch(there)).toFailWithCode(code)
    expect(there.registry.asked).toHaveLength(4)
  })

  test.each([
    [400, "REGISTRY_REFUSED"],
    [401, "REGISTRY_UNAUTHORIZED"],
    [403, "REGISTRY_DENIED"],
    [404, "REGISTRY_NOT_FOUND"],
    [405, "REGISTRY_UNSUPPORTED"],
    [409, "REGISTRY_REFUSED"],
    [418, "REGISTRY_REFUSED"],
  ] as const)("and answers %i is not asked again: %s", async (status, code) => {
    const there = await place(always({ status }))
    await expect(fetch(there)).toFailWithCode(code)
    expect(there.registry.asked).toHaveLength(1)
  })

  test("of every kind, one after the other, loses no byte and asks for none twice", async () => {
    const there = await place(
      inOrder(
        { status: 503 },
        { reset: true, after: 2 << 20 },
        { status: 429, headers: { "retry-after": "0" } },
        { status: 500 },
        { reset: true, after: 1 << 20 },
        { status: 502 },
      ),
    )
    expect((await fetch(there)).equals(BYTES)).toBe(true)
    const ranges = there.registry.asked.map(({ headers }) =>
      Number(/\d+/.exec(String(headers["range"] ?? 0))?.[0]),
    )
    expect(ranges).toHaveLength(7)
    expect(ranges).toEqual(ranges.toSorted((a, b) => a - b))
    expect(ranges.at(-1)).toBeGreaterThan(1 << 20)
  })

  test("and asks to come back in an hour is given up at once", async () => {
    const there = await place(always({ status: 503, headers: { "retry-after": "3600" } }))
    await expect(fetch(there)).toFailWithCode("REGISTRY_BUSY")
    expect(there.registry.asked).toHaveLength(1)
  })

  test("is quoted by its code alone, never by its prose", async () => {
    const body = '{"errors":[{"code":"DENIED","message":"visit http://evil.example \\u001b[31m"}]}'
    const { repository } = await place(always({ status: 403, body }))
    const failure = await repository.manifest("v1").catch((error: unknown) => String(error))
    expect(failure).toContain("403 (DENIED)")
    expect(failure).not.toContain("evil")
  })

  test("and is not there at all is unreachable", async () => {
    const { repository } = await place(always({ status: 200 }))
    const gone = openRemote("127.0.0.1:1/press")
    await expect(gone.blobSize(BLOB.digest)).toFailWithCode("REGISTRY_UNREACHABLE")
    expect(repository.name).toContain("/press")
  })
})

describe("a download", () => {
  test("that is reset three times goes on where it broke off", async () => {
    const there = await place(
      inOrder(
        { reset: true, after: 1 << 20 },
        { reset: true, after: 2 << 20 },
        { reset: true, after: 1 << 20 },
      ),
    )
    expect((await fetch(there)).equals(BYTES)).toBe(true)
    const ranges = there.registry.asked.map(({ headers }) =>
      Number(/\d+/.exec(String(headers["range"] ?? 0))?.[0]),
    )
    expect(ranges).toHaveLength(4)
    expect(ranges[0]).toBe(0)
    // Bytes in flight when the connection broke may be lost; what arrived is never asked for again.
    expect(ranges.every((at, index) => index === 0 || at >= (ranges[index - 1] ?? 0))).toBe(true)
    expect(ranges[3]).toBeGreaterThan(1 << 20)
  })

  test("starts over when the registry ignores where it should continue", async () => {
    const whole: Fault = {
      handle: (_request, response) => {
        response.writeHead(200, { "content-length": BYTES.length }).end(BYTES)
      },
    }
    const there = await place(inOrder({ reset: true, after: 3 << 20 }, whole))
    expect((await fetch(there)).equals(BYTES)).toBe(true)
  })

  test("starts over when the registry answers 416", async () => {
    const there = await place(inOrder({ reset: true, after: 3 << 20 }, { status: 416 }))
    expect((await fetch(there)).equals(BYTES)).toBe(true)
    expect(there.registry.asked).toHaveLength(3)
  })

  test.each([
    ["another place", `bytes 5-${BYTES.length - 1}/${BYTES.length}`],
    ["another end", `bytes 0-9/${BYTES.length}`],
    ["another blob", `bytes 0-${BYTES.length - 1}/99999999`],
    ["nonsense", "bytes x"],
  ])("that continues at %s is refused", async (_what, range) => {
    const lie: Fault = {
      handle: (_request, response) => {
        response.writeHead(206, { "content-range": range }).end(BYTES)
      },
    }
    const there = await place(inOrder({ reset: true, after: 1 << 20 }, lie))
    await expect(fetch(there)).toFailWithCode("REGISTRY_MISBEHAVED")
  })

  test("on which nothing moves is tried again, and given up in the end", async () => {
    const idleMs = 1_500
    const there = await place(inOrder({ stall: true, after: 1 << 20 }, { stall: true }), {
      patience: { idleMs },
    })
    expect((await fetch(there)).equals(BYTES)).toBe(true)
    const retry = { attempts: 2, baseMs: 1, capMs: 1 }
    const silent = await place(always({ stall: true }), { patience: { idleMs: 300, retry } })
    await expect(fetch(silent)).toFailWithCode("REGISTRY_UNREACHABLE")
  })

  test("that is slow from its first byte to its last is waited for", async () => {
    const idleMs = 1_000
    const steps = 12
    const there = await place(
      always({
        handle: (_request, response) => {
          response.writeHead(200, { "content-length": BYTES.length })
          const size = Math.ceil(BYTES.length / steps)
          let sent = 0
          const timer = setInterval(() => {
            response.write(BYTES.subarray(sent, (sent += size)))
            if (sent >= BYTES.length) response.end()
          }, 100)
          response.on("close", () => clearInterval(timer))
        },
      }),
      { patience: { idleMs } },
    )
    const startedAt = performance.now()
    expect((await fetch(there)).equals(BYTES)).toBe(true)
    expect(performance.now() - startedAt).toBeGreaterThan(idleMs)
    expect(there.registry.asked).toHaveLength(1)
  })

  test.each([
    ["more than is due", String(BYTES.length + 1)],
    ["less than is due", "10"],
    ["no number", "1e3"],
  ])("whose announced length is %s is refused", async (_what, length) => {
    const there = await place(
      always({
        handle: (request, response) => {
          request.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`)
          response.destroy()
        },
      }),
    )
    await expect(fetch(there)).toFailWithCode("REGISTRY_MISBEHAVED")
  })

  test("that ends early every time is truncated", async () => {
    const there = await place(always({ reset: true, after: 0 }))
    await expect(fetch(there)).toFailWithCode("REGISTRY_TRUNCATED")
    const clean = await place(always({ lie: { body: BYTES.subarray(1), chunked: true } }))
    await expect(fetch(clean)).toFailWithCode("REGISTRY_TRUNCATED")
  })

  test("that never ends is stopped at the byte that is too much", async () => {
    let sent = 0
    const there = await place(
      always({
        handle: (_request, response) => {
          const more = () => {
            while (!response.destroyed && response.write(BYTES.subarray(0, 1 << 16))) sent += 1 << 16
          }
          response.on("drain", more)
          more()
        },
      }),
    )
    await expect(fetch(there)).toFailWithCode("REGISTRY_MISBEHAVED")
    expect(sent).toBeLessThan(64 << 20)
  })

  test("of other content of the same length is refused", async () => {
    const other = Buffer.from(BYTES)
    other[12_345] = (other[12_345] ?? 0) ^ 1
    const there = await place(always({ lie: { body: other } }))
    await expect(fetch(there)).toFailWithCode("REGISTRY_DIGEST_MISMATCH")
    await expect(there.repository.readBlob(BLOB, 1 << 30)).toFailWithCode("REGISTRY_DIGEST_MISMATCH")
  })

  test("to a volume that is full is an error of the volume", async () => {
    const there = await place(() => undefined)
    const file = openSync("/dev/full", "w")
    onTestFinished(() => closeSync(file))
    await expect(there.repository.fetchBlob(BLOB, { file, offset: 0 })).toFailWithCode("NO_SPACE")
    expect(there.registry.asked).toHaveLength(1)
  })

  test("that is cancelled stops", async () => {
    const abort = new AbortController()
    const there = await place(() => undefined, { signal: abort.signal })
    const { file } = openFile("w+")
    const fetching = there.repository.fetchBlob(BLOB, { file, offset: 0 }, (done) => {
      if (done > 0) abort.abort()
    })
    await expect(fetching).toFailWithCode("CANCELLED")
  })
})

describe("a manifest", () => {
  test("that is not what its digest says is refused", async () => {
    const { repository } = await place(always({ lie: { body: Buffer.from("{}") } }))
    await expect(repository.manifest(MANIFEST.descriptor.digest)).toFailWithCode("REGISTRY_DIGEST_MISMATCH")
    await expect(repository.manifest("v1")).toFailWithCode("REGISTRY_DIGEST_MISMATCH")
  })

  test.each([
    ["with a length", { body: Buffer.alloc(5 << 20) }],
    ["without a length", { body: Buffer.alloc(5 << 20), chunked: true }],
  ])("of 5 MiB %s is refused", async (_what, lie) => {
    const { repository } = await place(always({ lie }))
    await expect(repository.manifest("v1")).toFailWithCode("REGISTRY_TOO_LARGE")
  })

  test("that trickles in is given up however busy its sender seems", async () => {
    const { repository } = await place(
      always({
        handle: (_request, response) => {
          response.writeHead(200)
          const timer = setInterval(() => response.write(" "), 20)
          response.on("close", () => clearInterval(timer))
        },
      }),
      { patience: { documentMs: 500, retry: { attempts: 2, baseMs: 1, capMs: 1 } } },
    )
    await expect(repository.manifest("v1")).toFailWithCode("REGISTRY_UNREACHABLE")
  })

  test.each(["not json", '{"schemaVersion":2,"schemaVersion":1}', "[1]", '{"mediaType":7}'])(
    "that reads %s is refused",
    async (text) => {
      const headers = { "docker-content-digest": "" }
      const { repository } = await place(always({ lie: { body: Buffer.from(text), headers } }))
      const failure = await repository.manifest("v1").catch((error: unknown) => error)
      expect(["JSON_MALFORMED", "REGISTRY_MISBEHAVED"]).toContain((failure as { code: string }).code)
    },
  )

  test("something that is not HTTP is not a registry", async () => {
    const { repository } = await place(
      always({
        handle: (request) => {
          request.socket.end("SSH-2.0-OpenSSH_9.2\r\n")
        },
      }),
    )
    await expect(repository.manifest("v1")).toFailWithCode("REGISTRY_MISBEHAVED")
  })
})

describe("an upload", () => {
  const isUpload = (method: string): Script => {
    let count = 0
    return (asked) =>
      asked.method === method && asked.url.includes("/uploads/") && count++ < 2 ? { status: 503 } : undefined
  }
  const empty = async (script: Script) => {
    const there = await place(script)
    there.registry.blobs.clear()
    return there
  }

  test.each(["POST", "PUT"])("whose %s fails twice is stored", async (method) => {
    const there = await empty(isUpload(method))
    expect(await put(there)).toBe("stored")
    expect(there.registry.blobs.get(BLOB.digest)?.equals(BYTES)).toBe(true)
    expect(await put(there)).toBe("present")
  })

  test.each([404, 409, 416, 400])("whose session answers %i starts anew", async (status) => {
    let isFirst = true
    const there = await empty((asked) => {
      if (asked.method !== "PUT" || !isFirst) return undefined
      isFirst = false
      return { status }
    })
    expect(await put(there)).toBe("stored")
    expect(there.registry.blobs.get(BLOB.digest)?.equals(BYTES)).toBe(true)
  })

  test("that breaks off in the middle is stored in the end", async () => {
    let failures = 0
    const there = await empty((asked) =>
      asked.method === "PUT" && failures++ < 2 ? { reset: true, after: 1 << 20 } : undefined,
    )
    expect(await put(there)).toBe("stored")
    expect(there.registry.blobs.get(BLOB.digest)?.equals(BYTES)).toBe(true)
  })

  test("whose last answer got lost is not sent again", async () => {
    const there = await empty((asked) => (asked.method === "PUT" ? { mute: true } : undefined))
    expect(await put(there)).toBe("stored")
    expect(there.registry.asked.filter(({ method }) => method === "PUT")).toHaveLength(1)
  })

  test.each([
    [403, "REGISTRY_DENIED"],
    [401, "REGISTRY_UNAUTHORIZED"],
    [413, "REGISTRY_REFUSED"],
    [500, "REGISTRY_REFUSED"],
  ] as const)("that is always answered with %i fails as %s and leaves no session", async (status, code) => {
    const there = await empty((asked) => (asked.method === "PUT" ? { status } : undefined))
    await expect(put(there)).toFailWithCode(code)
    expect(there.registry.asked.at(-1)?.method).toBe("DELETE")
    expect(there.registry.blobs.size).toBe(0)
  })

  test("of a file that is not what its name says is never completed", async () => {
    const there = await empty(() => undefined)
    const wrong = Buffer.from(BYTES)
    wrong[7] = (wrong[7] ?? 0) ^ 1
    const { file } = openFile("r", wrong)
    const putting = there.repository.putBlob(BLOB, { kind: "file", file, offset: 0 })
    await expect(putting).toFailWithCode("SEAL_DIGEST_MISMATCH")
    expect(there.registry.blobs.size).toBe(0)
  })

  test("of a file that became shorter is an error of the file", async () => {
    const there = await empty(() => undefined)
    const { file, path: name } = openFile("r", BYTES.subarray(0, 100))
    expect(statSync(name).size).toBe(100)
    const putting = there.repository.putBlob(BLOB, { kind: "file", file, offset: 0 })
    await expect(putting).toFailWithCode("FILE_CHANGED")
  })

  test("without an address to go to is refused", async () => {
    const there = await empty((asked) => (asked.method === "POST" ? { status: 202 } : undefined))
    await expect(put(there)).toFailWithCode("REGISTRY_MISBEHAVED")
  })
})

describe("a redirect", () => {
  const credential = { kind: "password", username: "press", password: "s3cret-of-press" } as const
  const secret = Buffer.from("press:s3cret-of-press").toString("base64")
  /** Demands a login first, then sends every download elsewhere. */
  const elsewhere =
    (location: () => string): Script =>
    ({ headers, url }) =>
      headers["authorization"] === undefined
        ? { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }
        : url.includes("/blobs/")
          ? { status: 307, headers: { location: location() } }
          : undefined

  test("to another host is followed without the login", async () => {
    const asked: (string | undefined)[] = []
    const store = await listen(
      createServer((request, response) => {
        asked.push(request.headers.authorization)
        response.end(BYTES)
      }),
    )
    const there = await place(
      elsewhere(() => `http://${store}/bytes?signature=1`),
      { credential },
    )
    expect((await fetch(there)).equals(BYTES)).toBe(true)
    expect(asked).toEqual([undefined])
    expect(there.registry.asked.map(({ headers }) => headers["authorization"])).toEqual([
      undefined,
      `Basic ${secret}`,
    ])
  })

  test("to another host that asks for a login gets none", async () => {
    const asked: (string | undefined)[] = []
    const thief = await listen(
      createServer((request, response) => {
        asked.push(request.headers.authorization)
        response.writeHead(401, { "www-authenticate": 'Basic realm="give"' }).end()
      }),
    )
    const there = await place(
      elsewhere(() => `http://${thief}/`),
      { credential },
    )
    await expect(fetch(there)).toFailWithCode("REGISTRY_UNAUTHORIZED")
    expect(asked).toEqual([undefined])
  })

  test.each([
    ["in circles", "/v2/press/blobs/round"],
    ["to a file", "file:///etc/passwd"],
    ["to an address with a password", "http://user:pass@127.0.0.1:1/"],
    ["to nowhere", "http://"],
  ])("%s is refused", async (_what, location) => {
    const there = await place(({ url }) =>
      url.includes("/blobs/") ? { status: 302, headers: { location } } : undefined,
    )
    await expect(fetch(there)).toFailWithCode("REGISTRY_REDIRECT")
    expect(there.registry.asked.length).toBeLessThan(8)
  })

  test("of an upload to another host carries no login", async () => {
    const asked: (string | undefined)[] = []
    const store = await listen(
      createServer((request, response) => {
        asked.push(request.headers.authorization)
        request.resume().on("end", () => response.writeHead(201).end())
      }),
    )
    const there = await place(
      ({ headers, method }) =>
        headers["authorization"] === undefined
          ? { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }
          : method === "POST"
            ? { status: 202, headers: { location: `http://${store}/upload?state=1` } }
            : undefined,
      { credential },
    )
    there.registry.blobs.clear()
    expect(await put(there)).toBe("stored")
    expect(asked).toEqual([undefined])
  })
})

describe("a list of tags", () => {
  test.each([
    ["leads in circles", "/v2/press/tags/list?n=1", "REGISTRY_MISBEHAVED"],
    ["goes on at another host", "http://127.0.0.1:1/v2/press/tags/list", "REGISTRY_REDIRECT"],
  ] as const)("that %s is refused", async (_what, next, code: ErrorCode) => {
    const { repository } = await place(always({ lie: { headers: { link: `<${next}>; rel="next"` } } }))
    await expect(repository.tags()).toFailWithCode(code)
  })

  test("comes page by page", async () => {
    const page = (tags: readonly string[], next: string | null): Fault => ({
      status: 200,
      headers: next === null ? {} : { link: `<${next}>; rel="next"` },
      body: JSON.stringify({ tags }),
    })
    const { repository } = await place(
      inOrder(page(["b", "a"], "/v2/press/tags/list?last=b"), page(["c"], null)),
    )
    expect(await repository.tags()).toEqual(["a", "b", "c"])
  })
})

test("nothing that went wrong leaves a byte of the blob's content in the message", async () => {
  const text = "weights of the press"
  const secret = toUtf8(text)
  const there = await place(always({ lie: { body: Buffer.from(secret) } }))
  const blob = { digest: `sha256:${createHash("sha256").update("x").digest("hex")}`, size: secret.length }
  const failure = await there.repository.readBlob(blob, 100).catch((error: unknown) => String(error))
  expect(failure).not.toContain(text)
})
