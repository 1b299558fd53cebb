/** Whoever can reach the port but is not our window gets nothing. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { request as httpRequest, type IncomingHttpHeaders } from "node:http"
import { connect } from "node:net"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { WebSocket } from "ws"
import { followJob } from "../../../main/contract/client.ts"
import { openTestHost, type TestHost } from "../../support/loopback.ts"
import { MODELS, sharedFolder } from "../../support/workspace.ts"

const folder = sharedFolder()
let desk: TestHost
beforeAll(async () => {
  desk = await openTestHost(folder)
})
afterAll(async () => desk.host.close())

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** A request with exactly these headers: what no browser API would let a page send. */
async function send(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  body?: Uint8Array,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: "127.0.0.1", port: desk.host.port, method, path: target, headers, agent: false },
      (response) => {
        const parts: Buffer[] = []
        response.on("data", (part: Buffer) => parts.push(part))
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(parts),
          }),
        )
        response.on("error", reject)
      },
    )
    request.on("error", reject)
    request.end(body)
  })
}

/** The status of a handshake, or the code the socket was closed with after `first` was sent. */
async function handshake(options: {
  readonly origin?: string
  readonly host?: string
  readonly path?: string
  readonly first?: string | Buffer
}): Promise<number> {
  const headers = options.host === undefined ? {} : { Host: options.host }
  const socket = new WebSocket(`ws://127.0.0.1:${desk.host.port}${options.path ?? "/contract"}`, {
    headers,
    ...(options.origin === undefined ? {} : { origin: options.origin }),
  })
  return new Promise((resolve, reject) => {
    socket.once("unexpected-response", (_request, response) => {
      resolve(response.statusCode ?? 0)
      response.resume()
    })
    socket.once("open", () => {
      if (options.first !== undefined) socket.send(options.first)
    })
    socket.once("close", (code) => resolve(code))
    socket.on("error", (error) => {
      if (!/Unexpected server response/.test(error.message)) reject(error)
    })
    socket.on("message", () => reject(new Error("the host answered a stranger")))
  })
}

describe("a stranger", () => {
  test("without a token is closed at the first message, whatever it is", async () => {
    const { origin } = desk
    for (const first of [
      "{}",
      "hello",
      JSON.stringify({ token: "" }),
      Buffer.from("binary"),
      "x".repeat(5000),
    ])
      expect(await handshake({ origin, first })).toBe(4401)
    expect(await handshake({ origin, first: `{"i":"1","p":{"u":"/doctor"}}` })).toBe(4401)
  })

  test("with a wrong token is closed, and the right one still works afterwards", async () => {
    const token = desk.token()
    const wrong = `${token.slice(0, -2)}${token.endsWith("AA") ? "BB" : "AA"}`
    expect(await handshake({ origin: desk.origin, first: JSON.stringify({ token: wrong }) })).toBe(4401)
    const { client, socket } = await desk.window(token)
    expect(await client.shell.about()).toEqual({ kind: "browser" })
    socket.terminate()
  })

  test("that says nothing is closed after a while", { timeout: 15_000 }, async () => {
    expect(await handshake({ origin: desk.origin })).toBe(4401)
  })

  test("of another origin does not get past the handshake", async () => {
    const first = JSON.stringify({ token: desk.token() })
    for (const origin of [
      "http://evil.example",
      `http://localhost:${desk.host.port}`,
      `https://127.0.0.1:${desk.host.port}`,
      `http://127.0.0.1:${desk.host.port + 1}`,
      `http://127.0.0.1:${desk.host.port}.evil.example`,
      "null",
    ])
      expect(await handshake({ origin, first }), origin).toBe(403)
    expect(await handshake({ first })).toBe(403)
  })

  test("that forges or rebinds the host's name is refused everywhere", async () => {
    const { port } = desk.host
    const names = [
      "evil.example",
      `evil.example:${port}`,
      `localhost:${port}`,
      "127.0.0.1",
      `[::1]:${port}`,
      `127.0.0.1:${port}.`,
    ]
    for (const host of names) {
      expect(await handshake({ origin: desk.origin, host }), host).toBe(403)
      expect((await send("GET", "/", { Host: host })).status, host).toBe(421)
    }
  })

  test("that sends two Host lines is refused", async () => {
    const socket = connect(desk.host.port, "127.0.0.1")
    const ours = `127.0.0.1:${desk.host.port}`
    socket.write(`GET / HTTP/1.1\r\nHost: ${ours}\r\nHost: evil.example\r\nConnection: close\r\n\r\n`)
    let text = ""
    for await (const part of socket) text += String(part)
    expect(text.split("\r\n")[0]).toMatch(/^HTTP\/1\.1 4(00|21) /)
  })

  test("is not reachable on any other address", () => {
    const listening = execFileSync("cat", ["/proc/net/tcp", "/proc/net/tcp6"], { encoding: "utf8" })
    const port = desk.host.port.toString(16).toUpperCase().padStart(4, "0")
    const addresses = listening.split("\n").flatMap((line) => {
      const [, local, , state] = line.trim().split(/\s+/)
      return state === "0A" && local?.endsWith(`:${port}`) === true ? [local] : []
    })
    expect(addresses).toEqual([`0100007F:${port}`])
  })

  test("cannot upload or fetch with tickets it makes up, nor from another site", async () => {
    const { client, socket } = await desk.window(desk.token())
    const [ticket = ""] = await client.shell.upload({ files: [{ name: "x.npy", bytes: 4 }] })
    const body = Buffer.from("data")
    const headers = { "Content-Length": "4" }
    expect(
      (await send("PUT", `/transfer/${"A".repeat(43)}`, { ...headers, Origin: desk.origin }, body)).status,
    ).toBe(404)
    expect((await send("PUT", `/transfer/${ticket}`, headers, body)).status).toBe(403)
    expect(
      (await send("PUT", `/transfer/${ticket}`, { ...headers, Origin: "http://evil.example" }, body)).status,
    ).toBe(403)
    expect((await send("GET", `/transfer/${"A".repeat(43)}`)).status).toBe(404)
    expect((await send("GET", `/transfer/${ticket}`, { "Sec-Fetch-Site": "cross-site" })).status).toBe(403)
    expect((await send("PUT", `/transfer/${ticket}`, { ...headers, Origin: desk.origin }, body)).status).toBe(
      200,
    )
    socket.terminate()
  })
})

describe("a link", () => {
  test("opens one window; the next window needs the next link, and a session reconnects", async () => {
    const token = desk.token()
    const first = await desk.window(token)
    await expect(desk.window(token)).rejects.toThrow("4401")
    expect(desk.token()).not.toBe(token)
    const again = await desk.window(first.session)
    expect(again.session).toBe(first.session)
    expect(Buffer.from(token, "base64url").length).toBe(32)
    for (const { socket } of [first, again]) socket.terminate()
  })

  test("stands in no file of the workspace and in no argument or environment of a process", () => {
    const token = desk.token()
    for (const name of readdirSync(desk.workspace, { recursive: true, encoding: "utf8" })) {
      const file = path.join(desk.workspace, name)
      if (statSync(file).isFile()) expect(readFileSync(file).includes(token), name).toBe(false)
    }
    const pid = process.pid
    for (const part of ["cmdline", "environ"])
      expect(readFileSync(`/proc/${pid}/${part}`).includes(token)).toBe(false)
    expect(execFileSync("ps", ["axeww", "-o", "args"], { encoding: "utf8" }).includes(token)).toBe(false)
  })
})

describe("a page", () => {
  test("carries a policy that lets only our own files run, with a new nonce each time", async () => {
    const [one, two] = [await send("GET", "/"), await send("GET", "/")]
    const policy = String(one.headers["content-security-policy"])
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self';")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain("unsafe")
    const nonce = /'nonce-([^']+)'/.exec(policy)?.[1] ?? ""
    expect(one.body.toString()).toContain(`content="${nonce}"`)
    expect(two.body.toString()).not.toContain(nonce)
    expect(one.headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
      "cross-origin-resource-policy": "same-origin",
      "cache-control": "no-store",
    })
    expect(one.headers["set-cookie"]).toBeUndefined()
  })

  test("is one of those that were built: no request names a file", async () => {
    expect((await send("GET", "/assets/app.js")).status).toBe(200)
    for (const target of [
      "/../workspace/keys",
      "/assets/../../../etc/passwd",
      "/%2e%2e/x",
      "/assets",
      "//etc/passwd",
      "/?x",
    ])
      expect((await send("GET", target)).status, target).toBe(404)
    for (const method of ["POST", "DELETE", "OPTIONS", "PROPFIND"])
      expect((await send(method, "/")).status).toBe(405)
  })
})

describe("a window", () => {
  test("reaches what clients may ask and nothing that is for hosts", async () => {
    const { client, socket } = await desk.window(desk.token())
    expect((await client.doctor()).checks.length).toBeGreaterThan(3)
    // What a page under attack could send: the procedure exists in the engine, and not here.
    const asHost = client as unknown as { files: { refer(input: object): Promise<unknown> } }
    await expect(asHost.files.refer({ path: "/etc/passwd" })).rejects.toThrow()
    socket.terminate()
  })

  test("uploads, gets a reference, and works with it; the file is its owner's alone and gone with the host", async () => {
    const { client, socket } = await desk.window(desk.token())
    const bytes = readFileSync(path.join(MODELS, "fashion-cnn-external.onnx"))
    const weights = readFileSync(path.join(MODELS, "fashion-cnn-external.bin"))
    const files = [
      { name: "fashion-cnn-external.onnx", bytes: bytes.length },
      { name: "fashion-cnn-external.bin", bytes: weights.length },
    ]
    const [forModel = "", forWeights = ""] = await client.shell.upload({ files })
    const put = async (ticket: string, body: Buffer) =>
      send("PUT", `/transfer/${ticket}`, { Origin: desk.origin, "Content-Length": String(body.length) }, body)
    expect((await put(forWeights, weights)).status).toBe(200)
    const answer = JSON.parse((await put(forModel, bytes)).body.toString())
    expect((await put(forModel, bytes)).status).toBe(404)
    const summary = await client.inspect({ file: answer.file })
    expect(summary).toMatchObject({ kind: "model", name: "fashion-cnn-external.onnx" })
    const uploaded = readdirSync(path.join(desk.workspace, "uploads"), { recursive: true, encoding: "utf8" })
      .map((name) => path.join(desk.workspace, "uploads", name))
      .find((name) => name.endsWith("fashion-cnn-external.onnx"))
    expect(statSync(uploaded ?? "").mode & 0o777).toBe(0o600)
    expect(statSync(path.join(desk.workspace, "uploads")).mode & 0o777).toBe(0o700)
    socket.terminate()
  })

  test("leaves nothing of an upload that breaks off or has another length", async () => {
    const { client, socket } = await desk.window(desk.token())
    const [short = "", cut = ""] = await client.shell.upload({
      files: [
        { name: "short.npy", bytes: 10 },
        { name: "cut.npy", bytes: 1_000_000 },
      ],
    })
    const refused = await send(
      "PUT",
      `/transfer/${short}`,
      { Origin: desk.origin, "Content-Length": "9" },
      Buffer.alloc(9),
    )
    expect(refused.status).toBe(409)
    expect(JSON.parse(refused.body.toString())).toMatchObject({ code: "FILE_CHANGED" })
    const raw = connect(desk.host.port, "127.0.0.1")
    raw.write(
      `PUT /transfer/${cut} HTTP/1.1\r\nHost: 127.0.0.1:${desk.host.port}\r\nOrigin: ${desk.origin}\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(5000)}`,
    )
    const written = () =>
      readdirSync(path.join(desk.workspace, "uploads"), { recursive: true, encoding: "utf8" }).filter(
        (name) => /(short|cut)\.npy$/.test(name),
      )
    await until(() => written().length === 1)
    raw.destroy()
    await until(() => written().length === 0)
    socket.terminate()
  })

  test("cannot upload under a name that leads elsewhere", async () => {
    const { client, socket } = await desk.window(desk.token())
    for (const name of ["../x", "/etc/x", "a/../../b", "a//b", "a\\b", "x\u0000y", "."])
      await expect(client.shell.upload({ files: [{ name, bytes: 1 }] })).toFailWithCode("FILE_NAME_UNSAFE")
    await expect(
      client.shell.upload({ files: [{ name: "huge.onnx", bytes: Number.MAX_SAFE_INTEGER }] }),
    ).toFailWithCode("NO_SPACE")
    socket.terminate()
  })

  test("gets results by a path that works once", async () => {
    const { client, socket } = await desk.window(desk.token())
    const made = await protectSample(client)
    const { path: fetched } = await client.shell.fetch({ file: made.file, inside: null, how: "save" })
    const answer = await send("GET", fetched ?? "")
    expect(answer.headers["content-disposition"]).toMatch(/^attachment; filename\*=UTF-8''/)
    expect(answer.headers["content-security-policy"]).toContain("sandbox")
    expect(answer.body.equals(readFileSync(path.join(desk.workspace, "packages", made.name)))).toBe(true)
    expect((await send("GET", fetched ?? "")).status).toBe(404)
    await expect(client.shell.fetch({ file: made.file, inside: "../../keys", how: "save" })).toFailWithCode(
      "FILE_NAME_UNSAFE",
    )
    expect((await client.library.packages())[0]).toMatchObject({ name: made.name, origin: "made" })
    socket.terminate()
  })

  test("takes its jobs with it when its connection breaks, and nobody else's", async () => {
    const [lost, other] = [await desk.window(desk.token()), await desk.window(desk.token())]
    const { file } = await protectSample(other.client)
    const { model, data, labels, normalise } = await other.client.library.sample()
    const start = async ({ client }: typeof lost) => {
      const report = await client.shell.newOutput({ name: "q", kind: "report", from: null })
      return client.validate({
        ...{ file, device: "bench", trust: null, model, data, labels, normalise, batch: 1 },
        report: { file: report.file, replace: false },
      })
    }
    const events = (await start(lost))[Symbol.asyncIterator]()
    const kept = (await start(other))[Symbol.asyncIterator]()
    await Promise.all([events.next(), kept.next()])
    lost.socket.terminate()
    const states = async () => (await other.client.jobs.list()).map(({ state }) => state)
    await expect.poll(states, { timeout: 20_000 }).toContain("cancelled")
    expect((await states()).filter((state) => state === "running")).toHaveLength(1)
    await kept.return?.(undefined)
    await expect.poll(states, { timeout: 20_000 }).not.toContain("running")
    other.socket.terminate()
  })

  test("that says more at once than any window does is closed", async () => {
    const { socket } = await desk.window(desk.token())
    const closed = new Promise((resolve) => socket.once("close", resolve))
    socket.send("x".repeat((4 << 20) + 1))
    expect(await closed).toBe(1009)
  })

  test("sees its engine end in the middle of a job and come back, with its files still known", async () => {
    const { client, socket } = await desk.window(desk.token())
    const sample = await client.library.sample()
    const made = await protectSample(client)
    const states: string[] = []
    const watch = await client.shell.watch()
    const watching = (async () => {
      for await (const { state } of watch) {
        states.push(state)
        if (states.length === 3) return
      }
    })()
    await until(() => states.length === 1)
    const verdict = await client.validate({
      file: made.file,
      device: "bench",
      trust: null,
      model: sample.model,
      data: sample.data,
      labels: null,
      normalise: sample.normalise,
      batch: 1,
      report: {
        file: (await client.shell.newOutput({ name: "r", kind: "report", from: null })).file,
        replace: false,
      },
    })
    const job = followJob(verdict, () => {
      process.kill(desk.host.supervisor.pid ?? 0, "SIGKILL")
    })
    await expect(job).toFailWithCode("ENGINE_GONE")
    await watching
    expect(states).toEqual(["running", "restarting", "running"])
    for (const [file, name] of [[made.file, made.name] as const, [sample.model, sample.modelName] as const])
      expect((await client.inspect({ file })).name).toBe(name)
    socket.terminate()
  })
})

test("removes uploads when it ends, and what a killed host left when it starts", async () => {
  const other = path.join(folder, "other")
  const abandoned = path.join(other, "workspace", "uploads", `${2 ** 22 + 1}-feed`) // above any process number
  mkdirSync(abandoned, { recursive: true })
  writeFileSync(path.join(abandoned, "model.onnx"), "left behind")
  const first = await openTestHost(other)
  expect(existsSync(abandoned)).toBe(false)
  const { client } = await first.window(first.token())
  const [ticket = ""] = await client.shell.upload({ files: [{ name: "kept.npy", bytes: 1 }] })
  const response = await fetch(`${first.origin}/transfer/${ticket}`, {
    method: "PUT",
    body: "x",
    headers: { Origin: first.origin },
  })
  expect(response.status).toBe(200)
  await first.host.close()
  expect(readdirSync(path.join(first.workspace, "uploads"))).toEqual([])
})

async function protectSample(client: Awaited<ReturnType<TestHost["window"]>>["client"]) {
  const devices = await client.devices.list()
  if (devices.length === 0) await client.devices.add({ name: "bench", key: { kind: "software" } })
  const sample = await client.library.sample()
  const output = await client.shell.newOutput({ name: "sample.seal", kind: "package", from: null })
  await followJob(
    await client.protect({
      model: sample.model,
      devices: ["bench"],
      signingKey: null,
      escrow: [],
      mode: "individual",
      output: { file: output.file, replace: false },
    }),
  )
  return output
}

/** Waits for a state that another process reaches in its own time. */
async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; tries < 100_000; tries += 1) {
    if (isSo()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error("the state was never reached")
}
