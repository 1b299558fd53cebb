/** push, pull, sync and registry as people use them, against docker-registry and folders. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { followJob } from "../../main/contract/client.ts"
import type { Place, Pulled, Pushed, QueuedPush, Synced } from "../../main/contract/schema/registry.ts"
import { useDesk } from "../support/desk.ts"
import { dockerRegistry, type DockerRegistry } from "../support/docker-registry.ts"
import { SealEditor } from "../support/seal-editor.ts"
import { cli, cliJson, cliRefusal, sharedFolder } from "../support/workspace.ts"

const desk = useDesk()
const home = sharedFolder()
/** Credentials of whoever runs the tests are neither read nor written. */
const env = {
  HOME: home,
  DOCKER_CONFIG: path.join(home, "docker"),
  XDG_RUNTIME_DIR: home,
  REGISTRY_AUTH_FILE: "",
}
const workspace = ["--workspace", desk.workspace]
const plain = ["--plain-http", ...workspace]
let registry: DockerRegistry
let count = 0
const freshName = () => `${registry.host}/models/press-${count++}`

beforeAll(async () => {
  const folder = path.join(home, "registry")
  mkdirSync(folder)
  registry = await dockerRegistry(folder)
  await registry.start()
  await desk.protect("digits-mlp.onnx", desk.at("one.seal"))
  await desk.protect("digits-mlp.onnx", desk.at("two.seal"), { devices: ["press-07", "press-08"] })
  await desk.protect("digits-mlp.onnx", desk.at("fleet.seal"), {
    devices: ["press-07", "press-08"],
    mode: "fleet",
  })
})
afterAll(async () => registry.kill())

/** In process where the command line itself is not what is tested: a command takes a second to start. */
async function push(file: string, reference: string): Promise<Pushed> {
  const { to, tag } = await placeOf(reference)
  return followJob(await desk.engine.registry.push({ file: await refer(file), to, tag }))
}

async function pull(
  reference: string,
  output: string,
  tags: readonly string[] | null = null,
): Promise<Pulled> {
  const { to, tag } = await placeOf(reference)
  return followJob(
    await desk.engine.registry.pull({
      from: to,
      reference: tag,
      grants: tags === null ? { kind: "all" } : { kind: "tags", tags: [...tags] },
      output: { file: await refer(output), replace: true },
    }),
  )
}

async function list(repository: string) {
  return desk.engine.registry.list({
    place: { kind: "remote", repository, plainHttp: true, authority: null },
  })
}

async function placeOf(reference: string): Promise<{ readonly to: Place; readonly tag: string }> {
  const at = reference.lastIndexOf(":")
  const [name, tag] = [reference.slice(0, at), reference.slice(at + 1)]
  return name.startsWith("oci:")
    ? { to: { kind: "folder", folder: await refer(name.slice(4)) }, tag }
    : { to: { kind: "remote", repository: name, plainHttp: true, authority: null }, tag }
}

const refer = async (file: string) => desk.engine.files.refer({ path: file })

/** Digests of everything a package consists of, but not of the lists it is in. */
async function partsOf(file: string): Promise<readonly string[]> {
  const editor = await SealEditor.read(file)
  return editor.index.manifests.map(({ digest }) => digest).sort()
}

describe("push and pull", () => {
  test.each(["one", "two", "fleet"])(
    "carry %s.seal there and back, and it verifies for its device",
    async (name) => {
      const reference = `${freshName()}:1.0`
      const pushed = await push(desk.at(`${name}.seal`), reference)
      expect(pushed.sentBytes).toBe(pushed.bytes)
      const output = desk.at(`${name}-pulled-${count}.seal`)
      const pulled = await pull(reference, output)
      expect(pulled.digest).toBe(pushed.digest)
      expect(await partsOf(output)).toEqual(await partsOf(desk.at(`${name}.seal`)))
      expect((await desk.verify(output, "press-07")).verdict).toBe("verified")
      const layout = desk.at(`${name}-layout-${count}`)
      execFileSync("skopeo", ["copy", "--all", `oci-archive:${output}`, `oci:${layout}`], { stdio: "pipe" })
    },
  )

  test("work from the command line", async () => {
    const reference = `${freshName()}:1.0`
    const pushed = await cliJson<Pushed>(["push", desk.at("one.seal"), reference, ...plain], { env })
    const output = desk.at("by-command.seal")
    const pulled = await cliJson<Pulled>(["pull", reference, "-o", output, "--grants", "none", ...plain], {
      env,
    })
    expect(pulled).toMatchObject({ digest: pushed.digest, grants: 0 })
    const listed = await cliJson<{ tags: unknown }>(["registry", "list", reference, ...plain], { env })
    expect(listed.tags).toEqual([{ tag: "1.0", digest: pushed.digest }])
  })

  test("a second push sends nothing, and the tag stays", async () => {
    const reference = `${freshName()}:1.0`
    const first = await push(desk.at("fleet.seal"), reference)
    const second = await push(desk.at("fleet.seal"), reference)
    expect(second).toMatchObject({ digest: first.digest, grants: first.grants, sentBytes: 0 })
  })

  test("grants lie in a repository of their own under tags that tell nothing, and come one by one if so wanted", async () => {
    const name = freshName()
    const { grants } = await push(desk.at("fleet.seal"), `${name}:1.0`)
    expect(grants).toHaveLength(2)
    expect((await list(name)).tags.map(({ tag }) => tag)).toEqual(["1.0"])
    const below = await list(`${name}/grants`)
    expect(below.tags.map(({ tag }) => tag)).toEqual(grants.map(({ tag }) => tag).sort())
    for (const { tag } of below.tags) expect(tag).toMatch(/^[A-Z2-7]{26}$/)
    const output = desk.at(`single-${count}.seal`)
    const single = await pull(`${name}:1.0`, output, [grants[0]?.tag ?? ""])
    expect(single).toMatchObject({ packages: 1, grants: 1, bundles: 2 })
    expect(await pull(`${name}:1.0`, output, [])).toMatchObject({ packages: 1, grants: 0, bundles: 1 })
    expect((await desk.verify(output, null)).verdict).toBe("verified")
  })

  test("two releases in one repository do not get into each other's way", async () => {
    const name = freshName()
    await push(desk.at("one.seal"), `${name}:1`)
    await push(desk.at("fleet.seal"), `${name}:2`)
    for (const [tag, grants] of [
      ["1", 1],
      ["2", 2],
    ] as const) {
      const output = desk.at(`release-${tag}.seal`)
      expect(await pull(`${name}:${tag}`, output)).toMatchObject({ grants })
      expect((await desk.verify(output, "press-07")).verdict).toBe("verified")
    }
  })

  test("skopeo takes a pushed package out with its digest kept", async () => {
    const reference = `${freshName()}:1.0`
    const { digest } = await push(desk.at("two.seal"), reference)
    const layout = desk.at(`skopeo-${count}`)
    execFileSync(
      "skopeo",
      ["copy", "--all", "--src-tls-verify=false", `docker://${reference}`, `oci:${layout}:1.0`],
      { stdio: "pipe" },
    )
    expect(existsSync(path.join(layout, "blobs", "sha256", digest.slice(7)))).toBe(true)
    const output = desk.at(`from-layout-${count}.seal`)
    expect(await pull(`oci:${layout}:1.0`, output)).toMatchObject({
      digest,
      packages: 2,
    })
  })

  test("a folder stands in for a registry", async () => {
    const folder = desk.at("stick")
    const pushed = await push(desk.at("two.seal"), `oci:${folder}:1.0`)
    const output = desk.at("from-stick.seal")
    await pull(`oci:${folder}:1.0`, output)
    expect(await partsOf(output)).toEqual(await partsOf(desk.at("two.seal")))
    expect((await desk.verify(output, "press-08")).verdict).toBe("verified")
    execFileSync("skopeo", ["copy", "--all", `oci:${folder}:1.0`, `oci:${desk.at("stick-copy")}:1.0`], {
      stdio: "pipe",
    })
    expect(pushed.grants).toHaveLength(2)
  })

  test("two desks that push at once both succeed, and nothing is lost", async () => {
    const name = freshName()
    const [fleet, two] = [desk.at("fleet.seal"), desk.at("two.seal")]
    await Promise.all([
      cliJson(["push", fleet, `${name}:a`, ...plain], { env }),
      push(fleet, `${name}:a`),
      cliJson(["push", two, `${name}:b`, ...plain], { env }),
      push(two, `${name}:b`),
    ])
    for (const [file, tag] of [
      ["fleet", "a"],
      ["two", "b"],
    ] as const) {
      const output = desk.at(`both-${tag}.seal`)
      await pull(`${name}:${tag}`, output)
      const pulled = await partsOf(output)
      expect((await partsOf(desk.at(`${file}.seal`))).filter((digest) => !pulled.includes(digest))).toEqual(
        [],
      )
      expect((await desk.verify(output, "press-07")).verdict).toBe("verified")
    }
  })

  test.each([
    [["push", "absent.seal", "127.0.0.1:1/x:1"], "FILE_NOT_FOUND"],
    [["push", "one.seal", "127.0.0.1:1/X:1"], "REGISTRY_REFERENCE_INVALID"],
    [["push", "one.seal", "127.0.0.1:1/x"], "REGISTRY_REFERENCE_INVALID"],
    [["push", "workspace", "127.0.0.1:1/x:1"], "FILE_NOT_REGULAR"],
    [["pull", "127.0.0.1:1/x", "-o", "new.seal"], "REGISTRY_REFERENCE_INVALID"],
    [["pull", "127.0.0.1:1/x:1", "-o", "one.seal"], "OUTPUT_EXISTS"],
  ])("%j is refused", async (args, code) => {
    const needsRegistry = code === "OUTPUT_EXISTS"
    const reference = `${freshName()}:1`
    if (needsRegistry) await push(desk.at("one.seal"), reference)
    const real = args.map((arg) => (needsRegistry && arg.startsWith("127") ? reference : arg))
    expect(await cliRefusal([...real, ...plain], { cwd: desk.folder, env })).toMatchObject({ code })
  })

  test("a tag that does not exist is not found, and leaves no file", async () => {
    const output = desk.at("never.seal")
    const refusal = await cliRefusal(["pull", `${freshName()}:1`, "-o", output, ...plain], { env })
    expect(refusal).toMatchObject({ code: "REGISTRY_NOT_FOUND", status: 5 })
    expect(existsSync(output)).toBe(false)
  })
})

describe("sync", () => {
  test("keeps pushes over restarts of engine and registry until they succeed", async () => {
    const own = ["--workspace", desk.at("queue-workspace")]
    const folder = path.join(home, "late")
    mkdirSync(folder)
    const late = await dockerRegistry(folder)
    await late.start()
    await late.kill()
    const reference = `${late.host}/press:1.0`
    const queued = await cliJson<QueuedPush>(
      ["push", desk.at("one.seal"), reference, "--queue", "--plain-http", ...own],
      { env },
    )
    expect(queued).toMatchObject({ state: "waiting", attempts: 0 })
    let done = false
    let wasRunning = false
    // An engine that is started, interrupted, and started again; the registry comes up only for the second one.
    const first = await cli(["sync", "--watch", ...own], {
      env,
      onStderr: (_text, kill) => kill("SIGTERM"),
    })
    expect(first.status).toBe(130)
    expect(await cliJson<QueuedPush[]>(["sync", "--list", ...own], { env })).toHaveLength(1)
    await late.start()
    const second = cli(["sync", "--watch", ...own], {
      env,
      onStderr: (_text, kill) => {
        if (wasRunning) return
        wasRunning = true
        void waitUntil(async () => {
          const left = await cliJson<QueuedPush[]>(["sync", "--list", ...own], { env })
          done = left.length === 0
          return done
        }).then(() => kill("SIGTERM"))
      },
    })
    expect((await second).status).toBe(130)
    expect(done).toBe(true)
    const output = desk.at("synced.seal")
    await cliJson(["pull", reference, "-o", output, "--plain-http", ...own], { env })
    expect(await partsOf(output)).toEqual(await partsOf(desk.at("one.seal")))
    await late.kill()
  }, 120_000)

  test("stops a push whose package is gone, and goes on with the others", async () => {
    const own = ["--workspace", desk.at("stopped-workspace")]
    const doomed = desk.at("doomed.seal")
    writeFileSync(doomed, readFileSync(desk.at("one.seal")))
    const name = freshName()
    await cliJson(["push", doomed, `${name}:1`, "--queue", "--plain-http", ...own], { env })
    await cliJson(["push", desk.at("one.seal"), `${name}:2`, "--queue", "--plain-http", ...own], { env })
    rmSync(doomed)
    const result = await cli(["sync", "--json", ...own], { env })
    expect(result.status).toBe(9)
    const synced = JSON.parse(result.stdout) as Synced
    expect(synced.pushed.map(({ tag }) => tag)).toEqual(["2"])
    expect(synced.left).toMatchObject([{ tag: "1", state: "stopped", lastFailure: "FILE_NOT_FOUND" }])
    await cliJson(["sync", "--remove", synced.left[0]?.id ?? "", ...own], { env })
    expect((await cli(["sync", ...own], { env })).status).toBe(0)
    expect(await cliRefusal(["sync", "--remove", "none", ...own], { env })).toMatchObject({
      code: "REGISTRY_NOT_FOUND",
    })
  })
})

describe("registry", () => {
  test("login, check and logout work with a password from a descriptor, which ends up where docker keeps it", async () => {
    const folder = path.join(home, "locked")
    mkdirSync(folder)
    const login = { username: "press", password: "s3cret-of-press" }
    const locked = await dockerRegistry(folder, { tls: true, login })
    await locked.start()
    const tls = ["--ca", locked.authority ?? "", ...workspace]
    const check = ["registry", "check", locked.host, ...tls]
    try {
      expect(await cliRefusal(check, { env })).toMatchObject({ code: "REGISTRY_UNAUTHORIZED" })
      const tell = (password: string) =>
        execFileSync(
          "/bin/sh",
          [
            "-c",
            `"$0" "$@" 3<"$PASSWORD_FILE"`,
            process.execPath,
            "main/cli/bin.mjs",
            "registry",
            "login",
            locked.host,
          ].concat(["--username", "press", "--passphrase-fd", "3", "--json", ...tls]),
          {
            env: { ...process.env, ...env, PASSWORD_FILE: writtenTo(desk.at("password"), password) },
            encoding: "utf8",
          },
        )
      expect(() => tell("wrong")).toThrow()
      expect(JSON.parse(tell(login.password))).toMatchObject({ username: "press", keptBy: "file" })
      const { auths } = JSON.parse(readFileSync(path.join(home, "docker", "config.json"), "utf8")) as {
        readonly auths: Record<string, unknown>
      }
      expect(Object.keys(auths)).toEqual([locked.host])
      expect(await cliJson(check, { env })).toMatchObject({ access: "login", tls: true })
      // skopeo finds the login in the same place.
      const reference = `${locked.host}/press:1.0`
      await cliJson(["push", desk.at("one.seal"), reference, ...tls], { env })
      const inspected = execFileSync(
        "skopeo",
        [
          "inspect",
          "--raw",
          "--tls-verify=false",
          "--authfile",
          path.join(home, "docker", "config.json"),
          `docker://${reference}`,
        ],
        { encoding: "utf8" },
      )
      expect(inspected).toContain("vnd.sealwright.package")
      expect(await cliJson(["registry", "logout", locked.host, ...workspace], { env })).toMatchObject({
        wasLoggedIn: true,
      })
      expect(await cliRefusal(check, { env })).toMatchObject({ code: "REGISTRY_UNAUTHORIZED", status: 6 })
    } finally {
      await locked.kill()
    }
  })

  test("check says what is not a registry", async () => {
    expect(await cliJson(["registry", "check", registry.host, ...plain], { env })).toMatchObject({
      access: "anyone",
    })
    expect(await cliRefusal(["registry", "check", `${registry.host}/x`, ...plain], { env })).toMatchObject({
      code: "REGISTRY_REFERENCE_INVALID",
    })
  })
})

test("a package whose content was swapped in the registry's store is refused when pulled", async () => {
  const name = freshName()
  await push(desk.at("one.seal"), `${name}:1`)
  const editor = await SealEditor.read(desk.at("one.seal"))
  const digest = editor.manifests("package")[0]?.manifest.layers[0]?.digest ?? ""
  const stored = path.join(
    home,
    "registry",
    "store",
    "docker",
    "registry",
    "v2",
    "blobs",
    "sha256",
    digest.slice(7, 9),
    digest.slice(7),
    "data",
  )
  const bytes = readFileSync(stored)
  bytes[100] = (bytes[100] ?? 0) ^ 1
  writeFileSync(stored, bytes)
  const output = desk.at("swapped.seal")
  expect(await cliRefusal(["pull", `${name}:1`, "-o", output, ...plain], { env })).toMatchObject({
    code: "REGISTRY_DIGEST_MISMATCH",
    status: 3,
  })
  expect(existsSync(output)).toBe(false)
  bytes[100] = (bytes[100] ?? 0) ^ 1
  writeFileSync(stored, bytes)
})

function writtenTo(file: string, text: string): string {
  writeFileSync(file, `${text}\n`)
  return file
}

async function waitUntil(condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await condition());)
    if (Date.now() > deadline) throw new Error("waited too long")
}
