/** The log of trust acts: what is in it, who can check it, and what is found when somebody changes it. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { toUtf8 } from "../../../main/core/bytes/bytes.ts"
import { checkProofFile } from "../../../main/core/log/checkpoint.ts"
import { checkPublished } from "../../../main/core/log/published.ts"
import { followJob } from "../../../main/contract/client.ts"
import { leafHash } from "../../../main/core/log/merkle.ts"
import { ecdsaVerifier } from "../../../main/core/log/note.ts"
import { SealEditor } from "../../support/seal-editor.ts"
import { trustCarrier } from "../../support/trust-carrier.ts"
import { Fleet, own, role } from "../../support/shop.ts"
import { temporaryFolder } from "../../support/workspace.ts"

describe("the log of trust acts", () => {
  test("says what was done in order, names no device, and proves each entry to a stranger", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine, workspace } = fleet.desk
    await fleet.deploy("r1")
    await engine.release.revoke({ kind: "device", name: "press-07" })
    const log = await engine.log.show()
    expect(log.entries.map(({ act }) => act)).toEqual(["trust", "trust", "publish", "revoke"])
    expect(log.entries[2]).toMatchObject({ what: "r1 to pilot, 1 device" })
    expect(JSON.stringify(log)).not.toContain("press-07")
    const file = fleet.shop.at("entry.tlog-proof")
    const output = { file: await engine.files.refer({ path: file }), replace: false }
    await engine.log.prove({ index: 2, output })
    const bundle = readFileSync(path.join(workspace, "documents", "log", "tile", "entries", "000.p", "4"))
    const texts = bundle
      .toString("latin1")
      .split(/(?=\{"version")/)
      .slice(1)
    const leaf = leafHash(toUtf8(texts[2]?.slice(0, texts[2].lastIndexOf("}") + 1) ?? ""))
    const { publicKeyPem } = await engine.keys.show({ name: "desk" })
    const verifier = ecdsaVerifier(log.origin ?? "", publicKeyPem ?? "")
    expect(checkProofFile(readFileSync(file), leaf, [verifier])).toMatchObject({
      index: 2n,
      checkpoint: { size: 4n },
    })
    await expect(() => checkProofFile(readFileSync(file), leafHash(toUtf8("{}")), [verifier])).toFailWithCode(
      "LOG_INCONSISTENT",
    )
    await expect(engine.log.prove({ index: 4, output })).toFailWithCode("USAGE")
  })

  test("is not believed when an entry was changed or the checkpoint is somebody else's, and goes on after a new key", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const { engine, workspace } = fleet.desk
    await engine.keys.create({ name: "desk-2", purpose: "signing" })
    await engine.trust.change({
      kind: "rotate",
      roles: { online: role([own("desk-2")]) },
      gates: null,
      offlineDays: null,
    })
    expect((await engine.log.show()).size).toBe(2)
    const folder = path.join(workspace, "documents", "log")
    const [last = ""] = readdirSync(path.join(folder, "tile", "entries", "000.p"))
      .sort()
      .toReversed()
    const at = path.join(folder, "tile", "entries", "000.p", last)
    const good = readFileSync(at)
    writeFileSync(at, good.toString("latin1").replace("rotate", "rotatE"), "latin1")
    await expect(engine.log.show()).toFailWithCode("LOG_INCONSISTENT")
    await expect(engine.trust.refresh().then(async () => fleet.deploy("r1"))).toFailWithCode(
      "LOG_INCONSISTENT",
    )
    writeFileSync(at, good)
    const checkpoint = path.join(folder, "checkpoint")
    writeFileSync(checkpoint, readFileSync(checkpoint, "utf8").replace("\n2\n", "\n1\n"))
    await expect(engine.log.show()).toFailWithCode("LOG_UNSIGNED")
  })
})

describe("a release that is carried to a device", () => {
  test("brings the proof that the log holds it, which the device checks by the keys of its own roots", async () => {
    const fleet = await Fleet.open(temporaryFolder())
    const file = await fleet.deploy("r1")
    expect(await logCheck(fleet)).toMatchObject({
      result: "passed",
      reason: expect.stringMatching(/^entry 2 of 3/),
    })
    // What happens afterwards changes nothing in what was carried: the same words make the same file.
    await fleet.desk.engine.release.revoke({ kind: "package", digest: `sha256:${"1".repeat(64)}` })
    const [, again] = await proofIn(await fleet.export("again.seal"))
    const [names, first] = await proofIn(file)
    expect(again).toEqual(first)

    const sha256 = names.entry.slice("log/".length, -".json".length)
    const entry = Buffer.from(first.entry.toString().replace("to pilot", "to other"))
    await bring(fleet, file, new Map([[names.entry, entry]]))
    expect(await logCheck(fleet)).toMatchObject({ result: "failed", code: "LOG_INCONSISTENT" })
    const { publicKeyPem } = await fleet.desk.engine.keys.show({ name: "desk" })
    const pems = [publicKeyPem ?? ""]
    expect(checkPublished(first, sha256, pems)).toMatchObject({ index: 2n, size: 3n })
    await expect(() => checkPublished(first, "0".repeat(64), pems)).toFailWithCode("LOG_INCONSISTENT")
    await bring(fleet, file, new Map([[names.proof, Buffer.from("c2sp.org/tlog-proof@v1\nindex 0\n\n")]]))
    expect(await logCheck(fleet)).toMatchObject({ result: "failed", code: "LOG_MALFORMED" })

    // A new key for what is signed alone: the desk proves the same entry anew, under the checkpoint that key signed.
    await fleet.desk.engine.keys.create({ name: "desk-2", purpose: "signing" })
    const alone = role([own("desk-2")])
    const roles = { online: alone, director: alone }
    await fleet.desk.engine.trust.change({ kind: "rotate", roles, gates: null, offlineDays: null })
    await fleet.sync(await fleet.export("rotated.seal"))
    expect(await logCheck(fleet)).toMatchObject({
      result: "passed",
      reason: expect.stringMatching(/^entry 2 of/),
    })
    await bring(fleet, fleet.shop.at("rotated.seal"), new Map([[names.proof, first.proof]]))
    expect(await logCheck(fleet)).toMatchObject({ result: "skipped", code: null })
  })

  const logCheck = async (fleet: Fleet) => {
    const { engine } = fleet.device()
    const { checks } = await followJob(await engine.deployment.verify({ device: "press-07" }))
    return checks.find(({ id }) => id === "log")
  }

  async function proofIn(file: string) {
    const editor = await SealEditor.read(file)
    const layers = editor.manifests("trust").flatMap(({ manifest }) => manifest.layers)
    const named = (end: string) => {
      const layer = layers.find(({ annotations }) => {
        const title = annotations?.[TITLE] ?? ""
        return title.startsWith("log/") && title.endsWith(end)
      })
      return [layer?.annotations?.[TITLE] ?? "", editor.blob(layer?.digest ?? "").bytes] as const
    }
    const [entry, entryBytes] = named(".json")
    const [proof, proofBytes] = named(".tlog-proof")
    return [
      { entry, proof },
      { entry: entryBytes, proof: proofBytes },
    ] as const
  }

  const TITLE = "org.opencontainers.image.title"

  async function bring(
    fleet: Fleet,
    file: string,
    documents: ReadonlyMap<string, Uint8Array>,
  ): Promise<void> {
    const at = fleet.shop.at("brought.seal")
    writeFileSync(at, await trustCarrier(file, documents))
    await fleet.sync(at)
  }
})
