/** The log of trust acts: what is in it, who can check it, and what is found when somebody changes it. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { toUtf8 } from "../../../main/core/bytes/bytes.ts"
import { checkProofFile } from "../../../main/core/log/checkpoint.ts"
import { leafHash } from "../../../main/core/log/merkle.ts"
import { ecdsaVerifier } from "../../../main/core/log/note.ts"
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
