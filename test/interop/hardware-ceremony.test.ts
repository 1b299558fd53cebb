/** A trust root whose owners sign with a TPM and whose releases need a token: files go back and forth, keys stay where they are. */
import { execFileSync } from "node:child_process"
import { canonicalize } from "@tufjs/canonical-json"
import { readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { KeyPlace } from "../../main/contract/schema/keys.ts"
import { initShop, outputOf, own, publicKeyOf, role, Shop, type Place } from "../support/shop.ts"
import { scriptedPrompter } from "../support/prompter.ts"
import { createSoftHsm, type SoftHsm } from "../support/softhsm.ts"
import { startSwtpm, type Swtpm } from "../support/swtpm.ts"
import { temporaryFolder } from "../support/workspace.ts"

let tpms: readonly [Swtpm, Swtpm]
let token: SoftHsm
const before = process.env["SOFTHSM2_CONF"]
beforeAll(async () => {
  tpms = [await startSwtpm(), await startSwtpm()]
  token = await createSoftHsm()
  process.env["SOFTHSM2_CONF"] = token.env.SOFTHSM2_CONF
})
afterAll(async () => {
  if (before === undefined) delete process.env["SOFTHSM2_CONF"]
  else process.env["SOFTHSM2_CONF"] = before
  token.remove()
  for (const tpm of tpms) await tpm.stop()
})

function inTpm({ tcti }: Swtpm): KeyPlace {
  return { provider: "tpm2", tcti, adopt: null, persistent: false, auth: false, pcrs: [] }
}

async function answer(place: Place, key: string, request: string): Promise<string> {
  const file = path.join(path.dirname(request), `${key}.answer.json`)
  const output = await outputOf(place, file)
  await place.engine.trust.sign({ request: await place.engine.files.refer({ path: request }), key, output })
  return file
}

test("a role that demands hardware takes keys of a TPM and no others, and its owners sign request files with them", async () => {
  const shop = new Shop(temporaryFolder())
  const [desk, bob] = [shop.place("desk"), shop.place("bob")]
  await desk.engine.keys.create({ name: "carol", purpose: "signing", place: inTpm(tpms[0]) })
  await bob.engine.keys.create({ name: "bob", purpose: "signing", place: inTpm(tpms[1]) })
  const carol = own("carol")
  const owners = {
    ...role([carol, await publicKeyOf(bob, "bob", desk, "hardware")], 2),
    assurance: "hardware",
  } as const
  const soft = { ...owners, signers: [carol, await publicKeyOf(bob, "bob", desk)] }
  await expect(initShop(desk, { root: soft })).toFailWithCode("ROLE_ASSURANCE")
  const init = async (root: typeof owners) =>
    desk.engine.trust.init({
      roles: {
        root,
        "release-manager": role([own("alice")]),
        packager: role([own("press")]),
        online: role([own("desk")]),
        director: role([own("desk")]),
      },
      gates: { approvals: 0, validation: "none" },
      offlineDays: 30,
    })
  expect((await init(owners)).pending?.documents[0]).toMatchObject({
    says: expect.arrayContaining([expect.stringMatching(/^root: 2 of carol .*, hardware at least$/)]),
    needs: [{ threshold: 2, signedBy: ["carol"], missing: ["bob"] }],
  })
  const request = shop.at("root.request.json")
  await desk.engine.trust.request({ output: await outputOf(desk, request) })
  const file = await answer(bob, "bob", request)
  const made = await desk.engine.trust.assemble({ answers: [await desk.engine.files.refer({ path: file })] })
  expect(made.roles.find((each) => each.role === "root")).toMatchObject({
    threshold: 2,
    assurance: "hardware",
  })
  // A key in a file is no owner, whoever asks for it later.
  const add = { kind: "add-key", role: "root", signer: own("alice"), threshold: null } as const
  await expect(desk.engine.trust.change(add)).toFailWithCode("ROLE_ASSURANCE")
  const root = read(desk, "1.root.json")
  expect(verifiedBy(root, root.signed.keys)).toBe(2)
})

test("a release manager elsewhere signs the list of releases with a token", async () => {
  const shop = new Shop(temporaryFolder())
  const desk = shop.place("desk")
  const dora = shop.place("dora", {}, scriptedPrompter(token.pin))
  const place = { provider: "pkcs11", uri: token.uri(), adopt: false } as const
  await dora.engine.keys.create({ name: "dora", purpose: "signing", place })
  await initShop(desk)
  const managers = role([own("alice"), await publicKeyOf(dora, "dora", desk)], 2)
  await desk.engine.trust.change({
    kind: "rotate",
    roles: { "release-manager": managers },
    gates: null,
    offlineDays: null,
  })
  const taken = await desk.engine.release.revoke({ kind: "package", digest: `sha256:${"1".repeat(64)}` })
  expect(taken.pending?.documents[0]?.needs).toMatchObject([{ signedBy: ["alice"], missing: ["dora"] }])
  const request = shop.at("releases.request.json")
  await desk.engine.trust.request({ output: await outputOf(desk, request) })
  const seen = await dora.engine.trust.look({ request: await dora.engine.files.refer({ path: request }) })
  expect(seen.documents[0]?.says).toContain(`revoked: sha256:${"1".repeat(64)}`)
  const file = await answer(dora, "dora", request)
  const made = await desk.engine.trust.assemble({ answers: [await desk.engine.files.refer({ path: file })] })
  expect(made.pending).toBeNull()
  const { delegations } = read(desk, "2.targets.json").signed
  expect(verifiedBy(read(desk, "1.release-manager.json"), delegations?.keys)).toBe(2)
})

type Keys = Readonly<Record<string, { readonly keyval: { readonly public: string } }>>
interface Metadata {
  readonly signed: { readonly keys?: Keys; readonly delegations?: { readonly keys: Keys } }
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[]
}

function read({ workspace }: Place, name: string): Metadata {
  return JSON.parse(readFileSync(path.join(workspace, "documents", "tuf", "image", name), "utf8")) as Metadata
}

/** How many keys signed it, as OpenSSL sees it: every signature there is must hold. */
function verifiedBy({ signed, signatures }: Metadata, keys: Keys = {}): number {
  const cwd = temporaryFolder()
  writeFileSync(path.join(cwd, "signed"), canonicalize(signed))
  for (const { keyid, sig } of signatures) {
    writeFileSync(path.join(cwd, "key.pem"), keys[keyid]?.keyval.public ?? "")
    writeFileSync(path.join(cwd, "sig"), Buffer.from(sig, "hex"))
    const args = ["dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "signed"]
    expect(execFileSync("openssl", args, { cwd, encoding: "utf8" })).toContain("Verified OK")
  }
  return new Set(signatures.map(({ keyid }) => keyid)).size
}
