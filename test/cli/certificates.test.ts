import { execFileSync } from "node:child_process"
import { constants, createPublicKey, generateKeyPairSync, verify } from "node:crypto"
import { writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, it, onTestFinished } from "vitest"
import type { HostClient } from "../../main/contract/client.ts"
import type { VerifyCertificate } from "../../main/contract/schema/certificates.ts"
import type { KeyPlace } from "../../main/contract/schema/keys.ts"
import { localEngine } from "../../main/contract/server.ts"
import { issueRevocationList } from "../../main/core/attest/revocation-list.ts"
import { toUtf8 } from "../../main/core/bytes/bytes.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { createEngine } from "../../main/services/engine.ts"
import { answerRequest, CA, issue, onDay, SIGNER, type Issued } from "../support/certificates.ts"
import { scriptedPrompter } from "../support/prompter.ts"
import { createSoftHsm } from "../support/softhsm.ts"
import { ecdsaOver } from "../support/software-signer.ts"
import { startSwtpm } from "../support/swtpm.ts"
import { cli, cliJson, cliRefusal, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const at = (name: string) => path.join(folder, name)
const AUTHORITY = [...CA.slice(0, 1), "keyUsage=critical,keyCertSign,cRLSign"]
const root = issue({ name: "root", extensions: AUTHORITY })
const between = issue({ name: "between", issuer: root, extensions: AUTHORITY })
const leaf = issue({ name: "release", issuer: between, extensions: SIGNER, days: 100 })
const message = toUtf8("ship it")

beforeAll(() => {
  writeFileSync(at("root.pem"), root.pem)
  writeFileSync(at("chain.pem"), leaf.pem + between.pem)
  writeFileSync(at("key.pem"), keyPem(leaf))
  writeFileSync(at("empty.password"), "\n")
  writeFileSync(at("password"), "open sesame")
  for (const [name, password] of [
    ["release.p12", "password"],
    ["bare.p12", "empty.password"],
  ] as const)
    execFileSync("openssl", [
      ...["pkcs12", "-export", "-inkey", at("key.pem"), "-in", at("chain.pem")],
      ...["-passout", `file:${at(password)}`, "-out", at(name)],
    ])
})

function open(...answers: readonly string[]) {
  const prompter = scriptedPrompter(...answers)
  const workspace = at(`workspace-${counter++}`)
  const { ports, close } = localPorts(workspace, { prompter })
  onTestFinished(close)
  return { engine: localEngine(createEngine(ports)), ports, prompter, workspace }
}
let counter = 0

const refer = async (engine: HostClient, name: string) => engine.files.refer({ path: at(name) })

describe("a key from a credential file", () => {
  it("signs at level software, and its certificates come with it", async () => {
    const { engine, ports, prompter } = open("open sesame")
    const output = { file: await refer(engine, "exported.pem"), replace: true }
    const { key, certificates } = await engine.keys.import({
      name: "release-1",
      file: await refer(engine, "release.p12"),
      passphrase: false,
      chain: output,
    })
    expect(prompter.asked).toMatchObject([{ kind: "passphrase", subject: "file release.p12" }])
    expect(key).toMatchObject({ purpose: "signing", algorithm: "P-256", assurance: "software" })
    expect(key.evidence.join("\n")).toContain("made elsewhere")
    expect(certificates.map(({ subject, key: kind }) => [subject, kind])).toEqual([
      ["CN=release", "P-256"],
      ["CN=between", "P-256"],
    ])
    const signature = await ports.keys.sign(key, message)
    expect(verify("sha256", message, createPublicKey(leaf.privateKey), signature)).toBe(true)
    expect((await engine.certificates.show({ file: output.file })).certificates).toEqual(certificates)
    expect((await engine.keys.show({ name: "release-1" })).certificates).toEqual(certificates)
  })

  it("is asked for no passphrase where there is none, and may get one", async () => {
    const { engine, prompter } = open("its own")
    const file = await refer(engine, "bare.p12")
    const { key } = await engine.keys.import({ name: "release-1", file, passphrase: true, chain: null })
    expect(prompter.asked).toMatchObject([{ subject: "new key release-1", isNew: true }])
    expect(key.unlock).toBe("passphrase")
  })

  it("on RSA signs with RSA-PSS", async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
    writeFileSync(at("rsa.pem"), privateKey.export({ type: "pkcs8", format: "pem" }))
    const { engine, ports } = open()
    const file = await refer(engine, "rsa.pem")
    const { key } = await engine.keys.import({ name: "old", file, passphrase: false, chain: null })
    const check = {
      key: createPublicKey(privateKey),
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: 32,
    }
    expect(key.algorithm).toBe("RSA")
    expect(verify("sha256", message, check, await ports.keys.sign(key, message))).toBe(true)
  })

  it("is refused with a wrong passphrase, on another curve, without a key, and under a name that is taken", async () => {
    const { engine } = open("wrong")
    const take = async (file: string, name = "release-1") =>
      engine.keys.import({ name, file: await refer(engine, file), passphrase: false, chain: null })
    await expect(take("release.p12")).toFailWithCode("CREDENTIAL_PASSPHRASE")
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "secp384r1" })
    writeFileSync(at("384.pem"), privateKey.export({ type: "pkcs8", format: "pem" }))
    await expect(take("384.pem")).toFailWithCode("KEY_PURPOSE")
    await expect(take("root.pem")).toFailWithCode("KEY_UNREADABLE")
    await take("bare.p12")
    await expect(take("bare.p12")).toFailWithCode("KEY_EXISTS")
    expect(await engine.keys.list()).toHaveLength(1)
  })
})

describe("a certificate is judged", () => {
  const later = onDay(200)
  it.each([
    { what: "trusted", problem: null },
    { what: "expired", at: later, problem: "expired" },
    { what: "not yet valid", at: onDay(-2), problem: "not-yet-valid" },
    { what: "of another use", purpose: "device-decryption", problem: "wrong-usage" },
    { what: "of an unknown issuer", roots: "leaf-root.pem", problem: "unknown-issuer" },
    { what: "revoked", lists: ["revoked.crl", "root.crl"], problem: "revoked" },
    { what: "not covered by the lists", lists: ["good.crl"], problem: "revocation-unknown" },
    { what: "good by the lists", lists: ["good.crl", "root.crl"], problem: null },
  ] as const)("$what", async (given) => {
    const { engine } = open()
    writeFileSync(at("leaf-root.pem"), issue({ name: "root", extensions: AUTHORITY }).pem)
    const serial = "07" // what test/support/certificates.ts gives
    writeFileSync(at("revoked.crl"), await listOf(between, [serial]))
    writeFileSync(at("good.crl"), await listOf(between, ["0c"]))
    writeFileSync(at("root.crl"), await listOf(root, ["0c"]))
    const roots = "roots" in given ? given.roots : "root.pem"
    const purpose: VerifyCertificate["purpose"] = "purpose" in given ? given.purpose : "code-signing"
    const lists = "lists" in given ? given.lists : []
    const judged = await engine.certificates.verify({
      file: await refer(engine, "chain.pem"),
      roots: await refer(engine, roots),
      lists: await Promise.all(lists.map(async (name) => refer(engine, name))),
      purpose,
      at: "at" in given ? given.at.toISOString() : null,
    })
    expect(judged).toMatchObject({
      verdict: given.problem === null ? "trusted" : "refused",
      problem: given.problem,
    })
    if (given.problem === null) expect(judged.path).toEqual(["CN=release", "CN=between", "CN=root"])
  })

  it("from the command line, with exit status 3 for a refusal, and lists shown", async () => {
    writeFileSync(at("root.crl"), await listOf(root, ["0c"]))
    const roots = ["--roots", at("root.pem")]
    const good = await cli(["keys", "certificate", "verify", at("chain.pem"), ...roots])
    expect(good).toMatchObject({ status: 0 })
    expect(good.stdout).toContain("TRUSTED CN=release < CN=between < CN=root")
    const bad = await cli([
      "keys",
      "certificate",
      "verify",
      at("root.pem"),
      ...roots,
      "--purpose",
      "device-signing",
    ])
    expect(bad).toMatchObject({ status: 3 })
    expect(bad.stdout).toContain("REFUSED wrong-usage")
    const shown = await cliJson<{ lists: unknown[] }>(["keys", "certificate", "show", at("root.crl")])
    expect(shown.lists).toMatchObject([{ issuer: "CN=root", serials: ["0c"] }])
    const odd = await cliRefusal(["keys", "certificate", "show", at("key.pem")])
    expect(odd.code).toBe("CERTIFICATE_MALFORMED")
  })
})

it("a request is signed by a key wherever it lives, OpenSSL verifies it, and what its authority sends back stays with the key", async () => {
  const chip = await startSwtpm()
  onTestFinished(async () => chip.stop())
  const token = await createSoftHsm()
  onTestFinished(() => token.remove())
  process.env["SOFTHSM2_CONF"] = token.env.SOFTHSM2_CONF
  const { engine } = open(token.pin)
  const places: readonly KeyPlace[] = [
    { provider: "software", passphrase: false },
    { provider: "tpm2", tcti: chip.tcti, adopt: null, persistent: false, auth: false, pcrs: [] },
    { provider: "pkcs11", uri: token.uri(), adopt: false },
  ]
  for (const place of places) {
    const name = `release-${place.provider}`
    await engine.keys.create({ name, purpose: "signing", place })
    await request(engine, name)
    const args = ["req", "-in", at(`${name}.csr`), "-noout", "-verify", "-subject"]
    const said = execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    expect(said).toContain(`CN = ${name}, O = Example`)
    // The authority's certificates first: which is the key's own is told by the key.
    writeFileSync(at(`${name}.pem`), root.pem + between.pem + answer(name))
    const attached = await attach(engine, name, `${name}.pem`, { roots: "root.pem" })
    expect(attached).toMatchObject({ endsAtRoot: true, judged: { verdict: "trusted", problem: null } })
    expect(attached.judged.checks.map(({ id, result }) => [id, result])).toEqual([
      ["key", "passed"],
      ["chain", "passed"],
      ["revocation", "skipped"],
    ])
    const shown = await engine.keys.show({ name })
    expect(shown.certificates).toEqual(attached.certificates)
    expect(shown.certificates.map(({ subject, issuer }) => [subject, issuer])).toEqual([
      [`CN=${name}, O=Example`, "CN=between"],
      ["CN=between", "CN=root"],
      ["CN=root", "CN=root"],
    ])
  }
})

describe("a certificate that came back", () => {
  it.each([
    { what: "is expired", options: { days: -1 }, problem: "expired" },
    {
      what: "is for another use",
      options: { extensions: ["keyUsage=critical,keyAgreement"] },
      problem: "wrong-usage",
    },
    {
      what: "is from an authority nobody trusts",
      options: { roots: "leaf-root.pem" },
      problem: "unknown-issuer",
    },
    { what: "was revoked", options: { lists: ["revoked.crl", "root.crl"] }, problem: "revoked" },
  ] as const)("and $what is not kept", async ({ options, problem }) => {
    const { engine } = open()
    await engine.keys.create({ name: "release-1", purpose: "signing" })
    await request(engine, "release-1")
    writeFileSync(at("leaf-root.pem"), issue({ name: "root", extensions: AUTHORITY }).pem)
    writeFileSync(at("revoked.crl"), await listOf(between, ["07"]))
    writeFileSync(at("root.crl"), await listOf(root, ["0c"]))
    writeFileSync(at("back.pem"), answer("release-1", options) + between.pem)
    const refused = await attach(engine, "release-1", "back.pem", { roots: "root.pem", ...options })
    expect(refused.judged).toMatchObject({ verdict: "refused", problem })
    expect((await engine.keys.show({ name: "release-1" })).certificates).toEqual([])
  })

  it("for another key, as a file without certificates, or for a key that does not sign, is an error", async () => {
    const { engine } = open()
    await engine.keys.create({ name: "release-1", purpose: "signing" })
    await engine.keys.create({ name: "press", purpose: "device" })
    await expect(attach(engine, "release-1", "chain.pem")).toFailWithCode("CERTIFICATE_FOREIGN")
    await expect(attach(engine, "release-1", "key.pem")).toFailWithCode("CERTIFICATE_MALFORMED")
    await expect(attach(engine, "press", "chain.pem")).toFailWithCode("KEY_NOT_FOUND")
    await expect(attach(engine, "release-1", "chain.pem", { lists: ["root.pem"] })).toFailWithCode("USAGE")
  })

  it("may be judged without roots, is replaced by its renewal, and stands in what the commands print", async () => {
    const { engine, workspace } = open()
    await engine.keys.create({ name: "release-1", purpose: "signing" })
    await request(engine, "release-1")
    const first = answer("release-1", { days: 50 })
    writeFileSync(at("first.pem"), first + between.pem)
    const attachFile = async (file: string, ...more: readonly string[]) =>
      cli(["keys", "certificate", "attach", "release-1", at(file), ...more, "--workspace", workspace])
    const said = await attachFile("first.pem")
    expect(said).toMatchObject({ status: 0 })
    expect(said.stdout).toContain("nobody vouched for CN=between")
    writeFileSync(at("renewed.pem"), first + answer("release-1", { days: 90 }) + between.pem)
    await attach(engine, "release-1", "renewed.pem", { roots: "root.pem" })
    const { certificates } = await engine.keys.show({ name: "release-1" })
    expect(certificates).toHaveLength(2)
    expect(Date.parse(certificates[0]?.notAfter ?? "")).toBeGreaterThan(onDay(60).getTime())
    writeFileSync(at("expired.pem"), answer("release-1", { days: -1 }) + between.pem)
    const refused = await attachFile("expired.pem", "--roots", at("root.pem"))
    expect(refused).toMatchObject({ status: 3 })
    expect(refused.stdout).toContain("REFUSED expired")
    const shown = await cli(["keys", "show", "release-1", "--workspace", workspace])
    expect(shown.stdout).toContain(certificates[0]?.fingerprint)
  })
})

async function request(engine: HostClient, key: string): Promise<void> {
  const output = { file: await refer(engine, `${key}.csr`), replace: true }
  await engine.certificates.request({ key, subject: `CN=${key}, O=Example`, output })
}

/** What an outside authority makes of the request `NAME.csr`: OpenSSL, with the intermediate above. */
function answer(name: string, options: Parameters<typeof answerRequest>[2] = {}): string {
  return answerRequest(at(`${name}.csr`), between, options)
}

async function attach(
  engine: HostClient,
  key: string,
  file: string,
  { roots, lists = [] }: { readonly roots?: string; readonly lists?: readonly string[] } = {},
) {
  return engine.certificates.attach({
    key,
    file: await refer(engine, file),
    roots: roots === undefined ? null : await refer(engine, roots),
    lists: await Promise.all(lists.map(async (name) => refer(engine, name))),
    purpose: "code-signing",
  })
}

async function listOf(authority: Issued, serials: readonly string[]): Promise<Buffer> {
  const revoked = serials.map((serial) => ({ serial, at: onDay(-1) }))
  const validity = { thisUpdate: onDay(-1), nextUpdate: onDay(30) }
  const { privateKey } = authority
  const signer = {
    publicKeyPem: () => createPublicKey(privateKey).export({ type: "spki", format: "pem" }).toString(),
    sign: async (bytes: Uint8Array) => ecdsaOver(bytes, { privateKey, curve: "P-256" }),
  }
  const der = await issueRevocationList({ certificate: authority.der, signer }, revoked, 1, validity)
  return Buffer.from(der)
}

function keyPem(of: Issued): string {
  return of.privateKey.export({ type: "pkcs8", format: "pem" }).toString()
}
