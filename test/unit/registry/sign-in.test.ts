/** Logins: where they come from, whom they are shown to, and that they never end up anywhere else. */
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { connect } from "node:net"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { parseChallenge } from "../../../main/platform/registry/challenge.ts"
import { credentialFiles } from "../../../main/platform/registry/credentials.ts"
import { parseRetryAfter } from "../../../main/platform/registry/retry.ts"
import { tokenServerFile } from "../../../main/platform/registry/token-servers.ts"
import { faultyRegistry, listen } from "../../support/faulty-registry.ts"
import { openRemote } from "../../support/registry-client.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const PASSWORD = { kind: "password", username: "press", password: "s3cret:with:colons" } as const
const BASIC = `Basic ${Buffer.from("press:s3cret:with:colons").toString("base64")}`

describe("a challenge", () => {
  test.each([
    [null, null],
    ["", null],
    ["Negotiate", null],
    ['Basic realm="x"', { kind: "basic" }],
    ["basic", { kind: "basic" }],
    [
      'Bearer realm="https://auth.example/token",service="r.example",scope="repository:a:pull,push"',
      {
        kind: "bearer",
        realm: "https://auth.example/token",
        service: "r.example",
        scope: "repository:a:pull,push",
      },
    ],
    [
      'Basic realm="a, b", Bearer realm="https://auth.example/t"',
      { kind: "bearer", realm: "https://auth.example/t", service: null, scope: null },
    ],
    ['Bearer service="without realm"', null],
    [
      'bearer realm="https://a/\\"q\\"", error=invalid_token',
      { kind: "bearer", realm: 'https://a/"q"', service: null, scope: null },
    ],
  ])("%j is read", (header, expected) => {
    expect(parseChallenge(header)).toEqual(expected)
  })

  test("that is long and crooked is read in no time", () => {
    const startedAt = performance.now()
    parseChallenge(`Bearer ${'a="'.repeat(200_000)}`)
    parseChallenge(`${"a ".repeat(200_000)}=`)
    expect(performance.now() - startedAt).toBeLessThan(1000)
  })
})

test.each([
  [null, null],
  ["12", 12_000],
  ["Wed, 21 Oct 2026 07:28:30 GMT", 30_000],
  ["Wed, 21 Oct 2026 07:27:00 GMT", 0],
  ["soon", null],
  ["-5", null],
])("Retry-After %j is %j milliseconds", (text, expected) => {
  const parsed = parseRetryAfter(text, new Date("2026-10-21T07:28:00Z"))
  if (text === "-5") expect(parsed === null || parsed === 0).toBe(true)
  else expect(parsed).toBe(expected)
})

/** A registry that wants tokens, and the server that issues them. */
async function tokenRegistry(
  issue: (request: {
    readonly url: URL
    readonly authorization?: string
    readonly body: string
  }) => object | number,
) {
  const issued: {
    readonly url: URL
    readonly authorization?: string
    readonly body: string
    readonly method: string
  }[] = []
  const realm = await listen(
    createServer((request, response) => {
      let body = ""
      request.on("data", (part: Buffer) => (body += part.toString()))
      request.on("end", () => {
        const { authorization } = request.headers
        const url = new URL(request.url ?? "", `http://${realm}`)
        const entry = {
          url,
          body,
          method: request.method ?? "",
          ...(authorization !== undefined && { authorization }),
        }
        issued.push(entry)
        const answer = issue(entry)
        if (typeof answer === "number") response.writeHead(answer).end()
        else response.end(JSON.stringify(answer))
      })
    }),
  )
  const challenge = { "www-authenticate": `Bearer realm="http://${realm}/token",service="test"` }
  const registry = await faultyRegistry(({ headers }) =>
    headers["authorization"] === "Bearer good" ? undefined : { status: 401, headers: challenge },
  )
  return { registry, issued }
}

describe("a registry with tokens", () => {
  test("gets one for what is done, once, and the password goes to the token server alone", async () => {
    const { registry, issued } = await tokenRegistry(() => ({ token: "good", expires_in: 300 }))
    const repository = openRemote(`${registry.host}/press`, { credential: PASSWORD })
    await repository.tags()
    await repository.tags()
    expect(issued).toHaveLength(1)
    expect(issued[0]?.authorization).toBe(BASIC)
    expect(issued[0]?.url.searchParams.get("scope")).toBe("repository:press:pull")
    expect(issued[0]?.url.searchParams.get("service")).toBe("test")
    expect(registry.asked.map(({ headers }) => headers["authorization"])).toEqual([
      undefined,
      "Bearer good",
      "Bearer good",
    ])
  })

  test("gets one without a login where it serves strangers", async () => {
    const { registry, issued } = await tokenRegistry(() => ({ access_token: "good" }))
    await openRemote(`${registry.host}/press`).tags()
    expect(issued[0]?.authorization).toBeUndefined()
  })

  test("gets a new one when the old one does no longer", async () => {
    let count = 0
    const { registry, issued } = await tokenRegistry(() => ({
      token: count++ === 0 ? "stale" : "good",
      expires_in: 300,
    }))
    const repository = openRemote(`${registry.host}/press`, { credential: PASSWORD })
    await expect(repository.tags()).toFailWithCode("REGISTRY_UNAUTHORIZED")
    expect(await repository.tags()).toEqual([])
    expect(issued).toHaveLength(2)
  })

  test("is not asked in vain by a process that knows its token server from another one", async () => {
    const { registry, issued } = await tokenRegistry(() => ({ token: "good", expires_in: 300 }))
    const file = path.join(temporaryFolder(), "token-servers.json")
    const open = () =>
      openRemote(`${registry.host}/press`, { credential: PASSWORD, tokenServers: tokenServerFile(file) })
    await open().tags()
    const repository = open()
    await Promise.all([repository.tags(), repository.tags()])
    expect(registry.asked.map(({ headers }) => headers["authorization"])).toEqual([
      undefined,
      "Bearer good",
      "Bearer good",
      "Bearer good",
    ])
    expect(issued.map(({ authorization }) => authorization)).toEqual([BASIC, BASIC])
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file, "utf8")).not.toMatch(/good|press:|s3cret/)
  })

  test.each([
    ["is gone", "http://127.0.0.1:1/token"],
    ["is no address", "nowhere"],
    ["is another kind", "ftp://127.0.0.1/"],
  ])("is asked where its token server is when the one that is remembered %s", async (_what, realm) => {
    const { registry, issued } = await tokenRegistry(() => ({ token: "good", expires_in: 300 }))
    const tokenServers = tokenServerFile(path.join(temporaryFolder(), "token-servers.json"))
    await tokenServers.keep(`http://${registry.host}`, { kind: "bearer", realm, service: null, scope: null })
    const repository = openRemote(`${registry.host}/press`, { credential: PASSWORD, tokenServers })
    expect(await repository.tags()).toEqual([])
    expect(issued).toHaveLength(1)
    expect((await tokenServers.find(`http://${registry.host}`))?.realm).toBe(
      `${issued[0]?.url.origin ?? ""}/token`,
    )
  })

  test("keeps its password when the token server that is remembered has no TLS and the registry has", async () => {
    const asked: string[] = []
    const host = await listen(
      createServer((request, response) => {
        asked.push(request.url ?? "")
        response.writeHead(500).end()
      }),
    )
    const tokenServers = tokenServerFile(path.join(temporaryFolder(), "token-servers.json"))
    await tokenServers.keep(`https://${host}`, {
      kind: "bearer",
      realm: `http://${host}/token`,
      service: null,
      scope: null,
    })
    const options = { credential: PASSWORD, tokenServers, plainHttp: false } as const
    await expect(openRemote(`${host}/press`, options).tags()).toFailWithCode("REGISTRY_TLS")
    expect(asked).toEqual([])
  })

  test("is asked for both repositories when a blob is mounted", async () => {
    const { registry, issued } = await tokenRegistry(() => ({ token: "good", expires_in: 300 }))
    const repository = openRemote(`${registry.host}/press`, { credential: PASSWORD })
    const blob = { digest: `sha256:${"0".repeat(64)}`, size: 3 }
    expect(await repository.below("grants").mountBlob(blob, repository)).toBe(false)
    expect(issued[0]?.url.searchParams.getAll("scope")).toEqual([
      "repository:press/grants:pull,push",
      "repository:press:pull",
    ])
  })

  test("gets an identity token's access token without the identity token seeing the registry", async () => {
    const { registry, issued } = await tokenRegistry(() => ({ access_token: "good", expires_in: 300 }))
    await openRemote(`${registry.host}/press`, { credential: { kind: "token", token: "identity-1" } }).tags()
    expect(issued[0]?.method).toBe("POST")
    expect(new URLSearchParams(issued[0]?.body).get("refresh_token")).toBe("identity-1")
    expect(JSON.stringify(registry.asked)).not.toContain("identity-1")
  })

  test.each([
    ["refuses", 401, "REGISTRY_UNAUTHORIZED"],
    ["sends none", {}, "REGISTRY_MISBEHAVED"],
    ["sends headers", { token: "good\r\nX-Evil: 1" }, "REGISTRY_MISBEHAVED"],
    ["sends megabytes", { token: "x".repeat(2 << 20) }, "REGISTRY_TOO_LARGE"],
  ] as const)("whose token server %s is not entered", async (_what, answer, code) => {
    const { registry } = await tokenRegistry(() => answer)
    const repository = openRemote(`${registry.host}/press`, { credential: PASSWORD })
    await expect(repository.tags()).toFailWithCode(code)
  })

  test.each(["ftp://127.0.0.1/", "not an address"])("that names %s for tokens is refused", async (realm) => {
    const registry = await faultyRegistry(() => ({
      status: 401,
      headers: { "www-authenticate": `Bearer realm="${realm}"` },
    }))
    const repository = openRemote(`${registry.host}/press`, { credential: PASSWORD })
    const failure = await repository
      .tags()
      .catch((error: unknown) => (error as { readonly code: string }).code)
    expect(["REGISTRY_MISBEHAVED", "REGISTRY_REDIRECT"]).toContain(failure)
  })

  test("that wants a password is not given an identity token", async () => {
    const registry = await faultyRegistry(() => ({ status: 401, headers: { "www-authenticate": "Basic" } }))
    const repository = openRemote(`${registry.host}/press`, {
      credential: { kind: "token", token: "identity-1" },
    })
    await expect(repository.tags()).toFailWithCode("REGISTRY_UNAUTHORIZED")
    expect(registry.asked).toHaveLength(1)
  })
})

describe("credential files", () => {
  const config = (value: object, environment: NodeJS.ProcessEnv = {}) => {
    const folder = temporaryFolder()
    writeFileSync(path.join(folder, "config.json"), JSON.stringify(value))
    return { folder, store: credentialFiles({ DOCKER_CONFIG: folder, ...environment }) }
  }
  const auth = Buffer.from("press:s3cret:with:colons").toString("base64")

  test.each([
    ["as Docker writes it", { auths: { "r.example": { auth } } }],
    ["with a scheme and a path", { auths: { "https://R.example/v1/": { auth } } }],
    ["in plain fields", { auths: { "r.example": { username: "press", password: "s3cret:with:colons" } } }],
    [
      "beside others",
      { auths: { "r.example:5000": { auth: "eDp5" }, "r.example": { auth } }, HttpHeaders: {} },
    ],
  ])("a login %s is found", async (_what, value) => {
    expect(await config(value).store.find("r.example")).toEqual(PASSWORD)
    expect(await config(value).store.find("other.example")).toBeNull()
  })

  test("an identity token is one", async () => {
    const { store } = config({ auths: { "r.example": { auth, identitytoken: "identity-1" } } })
    expect(await store.find("r.example")).toEqual({ kind: "token", token: "identity-1" })
  })

  test("the containers tools' file is looked into after Docker's", async () => {
    const runtime = temporaryFolder()
    mkdirSync(path.join(runtime, "containers"))
    writeFileSync(
      path.join(runtime, "containers", "auth.json"),
      JSON.stringify({ auths: { "r.example": { auth } } }),
    )
    expect(await config({ auths: {} }, { XDG_RUNTIME_DIR: runtime }).store.find("r.example")).toEqual(
      PASSWORD,
    )
  })

  test.each(["{", '{"auths":7}', '{"auths":{"r.example":{"auth":"bm9jb2xvbg=="}}}'])(
    "%s is unreadable, and not quoted",
    async (text) => {
      const folder = temporaryFolder()
      writeFileSync(path.join(folder, "config.json"), text)
      await expect(credentialFiles({ DOCKER_CONFIG: folder }).find("r.example")).toFailWithCode(
        "CREDENTIALS_UNREADABLE",
      )
    },
  )

  test("a login is kept and removed without touching the rest, for its owner's eyes alone", async () => {
    const { folder, store } = config({
      auths: { "other.example": { auth: "eDp5" } },
      HttpHeaders: { a: "b" },
    })
    expect(await store.store("r.example", "press", "s3cret:with:colons")).toBe("file")
    expect(statSync(path.join(folder, "config.json")).mode & 0o777).toBe(0o600)
    expect(await store.find("r.example")).toEqual(PASSWORD)
    expect(await store.erase("r.example")).toBe(true)
    expect(await store.erase("r.example")).toBe(false)
    expect(JSON.parse(readFileSync(path.join(folder, "config.json"), "utf8"))).toEqual({
      auths: { "other.example": { auth: "eDp5" } },
      HttpHeaders: { a: "b" },
    })
  })

  /** A helper that keeps logins in a file and writes down how it was called. */
  function helper(): {
    readonly folder: string
    readonly environment: NodeJS.ProcessEnv
    readonly calls: () => string
  } {
    const folder = temporaryFolder()
    const script = `#!/bin/sh
echo "$@" >> '${folder}/calls'
case "$1" in
store) cat > '${folder}/kept' ;;
get) read -r host; [ "$host" = r.example ] && [ -f '${folder}/kept' ] || { echo "credentials not found in native keychain"; exit 1; }; cat '${folder}/kept' ;;
erase) rm '${folder}/kept' ;;
esac
`
    writeFileSync(path.join(folder, "docker-credential-test"), script)
    chmodSync(path.join(folder, "docker-credential-test"), 0o755)
    const environment = { PATH: `${folder}:${process.env["PATH"] ?? ""}` }
    return { folder, environment, calls: () => readFileSync(path.join(folder, "calls"), "utf8") }
  }

  test.each([{ credsStore: "test" }, { credHelpers: { "r.example": "test" } }])(
    "a helper keeps logins where the file says %j, and sees the secret on its input alone",
    async (value) => {
      const { environment, calls, folder } = helper()
      const { store } = config(value, environment)
      expect(await store.find("r.example")).toBeNull()
      expect(await store.store("r.example", "press", "s3cret:with:colons")).toBe("helper")
      expect(await store.find("r.example")).toEqual(PASSWORD)
      expect(JSON.parse(readFileSync(path.join(folder, "kept"), "utf8"))).toMatchObject({
        ServerURL: "r.example",
      })
      expect(await store.erase("r.example")).toBe(true)
      expect(await store.find("r.example")).toBeNull()
      expect(calls()).not.toContain("s3cret")
    },
  )

  test("a helper that is not installed keeps nothing, and cannot be told to", async () => {
    const { store } = config({ credsStore: "absent-helper" }, { PATH: "/nonexistent" })
    expect(await store.find("r.example")).toBeNull()
    await expect(store.store("r.example", "press", "x")).toFailWithCode("CREDENTIALS_UNREADABLE")
  })

  test("a helper's name cannot lead to another program", async () => {
    const { store } = config({ credsStore: "../../bin/sh" })
    await expect(store.find("r.example")).toFailWithCode("CREDENTIALS_UNREADABLE")
  })
})

describe("a proxy", () => {
  /** Passes requests and tunnels on, and writes down what it was asked for. */
  async function proxy(): Promise<{ readonly url: string; readonly asked: string[] }> {
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(`${request.method ?? ""} ${request.url ?? ""}`)
      response.writeHead(404).end()
    })
    server.on("connect", (request, client) => {
      asked.push(`CONNECT ${request.url ?? ""}`)
      const [host = "", port = ""] = (request.url ?? "").split(":")
      const remote = connect(Number(port), host, () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n")
        remote.pipe(client).pipe(remote)
      })
      remote.on("error", () => client.destroy())
      client.on("error", () => remote.destroy())
    })
    return { url: `http://${await listen(server)}`, asked }
  }

  test("is used when the environment names one, and not for hosts it excepts", async () => {
    const registry = await faultyRegistry()
    const { url, asked } = await proxy()
    await openRemote(`${registry.host}/press`, { environment: { HTTP_PROXY: url } }).tags()
    expect(asked).toHaveLength(1)
    expect(asked[0]).toContain(registry.host)
    await openRemote(`${registry.host}/press`, {
      environment: { HTTP_PROXY: url, NO_PROXY: "127.0.0.1" },
    }).tags()
    expect(asked).toHaveLength(1)
    expect(registry.asked).toHaveLength(1)
  })

  test("tunnels TLS and so never sees what is said", async () => {
    const { url, asked } = await proxy()
    const repository = openRemote("127.0.0.1:1/press", {
      plainHttp: false,
      environment: { HTTPS_PROXY: url },
    })
    await expect(repository.tags()).rejects.toThrow()
    expect(asked.length).toBeGreaterThan(0)
    expect(new Set(asked)).toEqual(new Set(["CONNECT 127.0.0.1:1"]))
  })
})
