/** Debian's age with our plugin: it opens what others sealed to device keys, and seals to them. */
import { execFileSync, spawnSync } from "node:child_process"
import { createHash, createPrivateKey } from "node:crypto"
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { encryptBytes } from "../../main/core/age/file.ts"
import { softwareP256 } from "../../main/core/age/p256.ts"
import { parsePluginIdentity, pluginIdentityText } from "../../main/core/age/plugin-identity.ts"
import { parseRecipient } from "../../main/core/age/recipients.ts"
import { cliJson, ROOT, sharedFolder } from "../support/workspace.ts"
import { pqTagSeed, tagScalar, tagVectors } from "../support/tag-keys.ts"
import { vector } from "../support/vectors.ts"
import { seededRandom } from "../support/seeded-random.ts"

const folder = sharedFolder()
const workspace = path.join(folder, "workspace")
const bin = path.join(folder, "bin")
const random = seededRandom(21)

interface KeyJson {
  readonly name: string
  readonly recipient: string
}
const keys = new Map<string, KeyJson>()
const identityFiles = new Map<string, string>()

beforeAll(async () => {
  mkdirSync(bin)
  // The names npm gives our program.
  const { bin: names } = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")) as {
    bin: Record<string, string>
  }
  for (const name of ["age-plugin-sealwright", "age-plugin-tag", "age-plugin-tagpq"])
    symlinkSync(path.join(ROOT, names[name] ?? "missing"), path.join(bin, name))
  for (const [name, more] of [
    ["classic", []],
    ["hybrid", ["--post-quantum"]],
  ] as const) {
    const args = ["keys", "create", name, "--purpose", "device", ...more, "--workspace", workspace]
    keys.set(name, await cliJson<KeyJson>(args))
  }
})

function age(args: readonly string[], input?: Uint8Array): Buffer {
  const { status, stdout, stderr } = spawnSync("age", args, {
    input,
    maxBuffer: 64 << 20,
    env: {
      ...process.env,
      PATH: `${bin}:${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
      SEALWRIGHT_HOME: workspace,
    },
  })
  if (status !== 0) throw new Error(stderr.toString())
  return stdout
}

/** An identity file as the plugin prints it; asked for once. */
function identityFile(key: string): string {
  const file = identityFiles.get(key) ?? writeIdentity(key)
  identityFiles.set(key, file)
  return file
}

function writeIdentity(key: string, more: readonly string[] = []): string {
  const text = execFileSync(
    process.execPath,
    [path.join(ROOT, "main/cli/age-plugin.mjs"), "--identity", key, ...more],
    {
      env: { ...process.env, SEALWRIGHT_HOME: workspace },
    },
  )
  const file = path.join(folder, `${key}.txt`)
  writeFileSync(file, text)
  return file
}

function recipientOf(key: string): string {
  return keys.get(key)?.recipient ?? ""
}

describe.each([
  { key: "classic", sizes: [0, 1, 65_535, 65_536, 65_537, 10 << 20] },
  { key: "hybrid", sizes: [0, 65_537] },
])("a $key device key", ({ key, sizes }) => {
  test("has a recipient of its type", () => {
    expect(recipientOf(key)).toMatch(key === "classic" ? /^age1tag1/ : /^age1tagpq1/)
  })

  test.each(sizes)("opens %i bytes that we sealed", (size) => {
    const plain = random(size)
    const file = encryptBytes(plain, [parseRecipient(recipientOf(key))], random)
    expect(Buffer.compare(age(["-d", "-i", identityFile(key)], file), plain)).toBe(0)
  })

  test.each(sizes)("opens %i bytes that age sealed", (size) => {
    const plain = random(size)
    const file = age(["-r", recipientOf(key)], plain)
    expect(Buffer.compare(age(["-d", "-i", identityFile(key)], file), plain)).toBe(0)
  })

  test("is sealed to through its identity", () => {
    const plain = random(100)
    const identity = identityFile(key)
    const file = age(["-e", "-i", identity], plain)
    expect(Buffer.compare(age(["-d", "-i", identity], file), plain)).toBe(0)
  })
})

test("an identity may name its workspace, which then needs no environment", () => {
  const plain = random(10)
  const file = encryptBytes(plain, [parseRecipient(recipientOf("classic"))], random)
  const identity = writeIdentity("classic", ["--workspace", workspace])
  const opened = execFileSync("age", ["-d", "-i", identity], {
    input: file,
    env: { PATH: `${bin}:${path.dirname(process.execPath)}:/usr/bin:/bin` },
  })
  expect(Buffer.compare(opened, plain)).toBe(0)
})

test.each(Object.entries(tagVectors.files))(
  "age opens %s, which another program sealed to the published test keys",
  (name, file) => {
    const key = name.startsWith("p256tag") ? "classic" : "hybrid"
    const opened = age(["-d", "-i", publishedIdentity(key), vector("age-p256tag", name)])
    expect(createHash("sha256").update(opened).digest("hex")).toBe(file.plaintext_sha256)
  },
)

/** An identity of a second workspace, whose device keys are the published ones. */
function publishedIdentity(key: "classic" | "hybrid"): string {
  const published = path.join(folder, "published")
  if (!existsSync(published)) {
    cpSync(workspace, published, { recursive: true })
    const seed = Buffer.from(pqTagSeed.lattice).toString("base64")
    const block = `-----BEGIN SEALWRIGHT ML-KEM-768 SEED-----\n${seed}\n-----END SEALWRIGHT ML-KEM-768 SEED-----\n`
    writeFileSync(path.join(published, "keys/device/classic.pem"), pemOf(tagScalar))
    writeFileSync(path.join(published, "keys/device/hybrid.pem"), pemOf(pqTagSeed.scalar) + block)
  }
  const identity = path.join(folder, `published-${key}.txt`)
  writeFileSync(identity, `${pluginIdentityText({ key, workspace: published })}\n`)
  return identity
}

function pemOf(scalar: Uint8Array): string {
  const point = softwareP256(scalar).publicPoint
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url")
  const jwk = {
    kty: "EC",
    crv: "P-256",
    x: text(point.subarray(1, 33)),
    y: text(point.subarray(33)),
    d: text(scalar),
  }
  return createPrivateKey({ key: jwk, format: "jwk" }).export({ type: "pkcs8", format: "pem" }).toString()
}

test("age says which key is missing, and opens nothing", () => {
  const file = encryptBytes(random(5), [parseRecipient(recipientOf("classic"))], random)
  const identity = path.join(folder, "unknown.txt")
  writeFileSync(identity, `${pluginIdentityText({ key: "nobody", workspace: null })}\n`)
  expect(() => age(["-d", "-i", identity], file)).toThrow(/nobody/)
})

test("a file for somebody else is not opened", () => {
  const file = encryptBytes(random(5), [parseRecipient(recipientOf("classic"))], random)
  expect(() => age(["-d", "-i", identityFile("hybrid")], file)).toThrow(/no identity matched/)
})

test("an identity text reads back, and holds nothing but names", () => {
  const named = { key: "press-07", workspace: "/var/lib/plant – 7" }
  expect(parsePluginIdentity(pluginIdentityText(named))).toEqual(named)
  expect(parsePluginIdentity(pluginIdentityText({ key: "a", workspace: null }))).toEqual({
    key: "a",
    workspace: null,
  })
})
