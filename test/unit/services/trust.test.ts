/** The trust root: made, shown, changed, and signed by several people who never share a workspace. */
import { readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { describe, expect, test } from "vitest"
import { TufClient } from "../../../main/core/tuf/client.ts"
import { initShop, outputOf, own, publicKeyOf, role, Shop, type Place } from "../../support/shop.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const refer = async (place: Place, file: string) => place.engine.files.refer({ path: file })

describe("a trust root whose keys are all here", () => {
  test("is in force at once, and says who may do what", async () => {
    const desk = new Shop(temporaryFolder()).place("desk")
    const trust = await initShop(desk)
    expect(trust.pending).toBeNull()
    expect(trust.roots).toMatchObject({
      image: { version: 1, expires: "2029-01-03T08:00:00Z" },
      director: { version: 1 },
    })
    expect(trust.freshUntil).toBe("2027-02-03T08:00:00Z")
    expect(trust.roles.find((each) => each.role === "packager")).toMatchObject({
      threshold: 1,
      keys: [{ person: "press", here: "press", assurance: "software" }],
    })
    expect(await desk.engine.trust.show()).toEqual(trust)
    await expect(initAgain(desk)).toFailWithCode("TRUST_EXISTS")
  })

  test("rotates the online key, and a device with the first root follows", async () => {
    const shop = new Shop(temporaryFolder())
    const desk = shop.place("desk")
    await initShop(desk)
    const first = documents(desk, "image/1.root.json")
    await desk.engine.keys.create({ name: "desk-2", purpose: "signing" })
    const trust = await desk.engine.trust.change({
      kind: "rotate",
      roles: { online: role([own("desk-2")]) },
      gates: null,
      offlineDays: 60,
    })
    expect(trust).toMatchObject({ roots: { image: { version: 2 } }, offlineDays: 60, pending: null })
    const client = new TufClient(new Map([["root", first]]), shop.now)
    await client.refresh({
      read: async (name) => desk.ports.documents.read(`tuf/image/${name}`),
    })
    expect(client.root.signed.version).toBe(2)
    expect(client.timestamp.signed.expires).toBe("2027-03-05T08:00:00Z")
  })

  test("refuses what cannot work or is kept too badly", async () => {
    const desk = new Shop(temporaryFolder()).place("desk")
    await expect(initShop(desk, { root: role([own("alice")], 2) })).toFailWithCode("TRUST_INVALID")
    await expect(init(desk, { root: role([own("alice", "eve"), own("press", "eve")]) })).toFailWithCode(
      "TRUST_INVALID",
    )
    await expect(
      init(desk, { "release-manager": { ...role([own("alice")]), assurance: "hardware" } }),
    ).toFailWithCode("ROLE_ASSURANCE")
    await expect(init(desk, { root: role([own("nobody")]) })).toFailWithCode("KEY_NOT_FOUND")
    expect((await desk.engine.trust.show()).roots).toBeNull()
  })

  test("takes every role from a key that is no longer trusted", async () => {
    const desk = new Shop(temporaryFolder()).place("desk")
    await initShop(desk)
    await desk.engine.keys.create({ name: "erin", purpose: "signing" })
    for (const name of ["packager", "approver"] as const)
      await desk.engine.trust.change({ kind: "add-key", role: name, signer: own("erin"), threshold: null })
    const trust = await desk.engine.trust.change({
      kind: "remove-key",
      role: null,
      key: "erin",
      threshold: null,
    })
    expect(trust.roles.flatMap(({ keys }) => keys).map(({ person }) => person)).not.toContain("erin")
    await expect(
      desk.engine.trust.change({ kind: "remove-key", role: null, key: "erin", threshold: null }),
    ).toFailWithCode("ROLE_MISSING")
    await expect(
      desk.engine.trust.change({ kind: "remove-key", role: "packager", key: "press", threshold: null }),
    ).toFailWithCode("TRUST_INVALID")
  })

  test("signs snapshot and timestamp again without touching what people signed", async () => {
    const shop = new Shop(temporaryFolder())
    const desk = shop.place("desk")
    const before = await initShop(desk)
    shop.later({ days: 20 })
    const after = await desk.engine.trust.refresh()
    expect(after.freshUntil).toBe("2027-02-23T08:00:00Z")
    expect(after.roots).toEqual(before.roots)
  })
})

describe("a ceremony by files", () => {
  test("makes a root of two owners who never share a workspace", async () => {
    const { shop, desk, bob } = await twoOwners()
    const waiting = await desk.engine.trust.show()
    expect(waiting.roots).toBeNull()
    expect(waiting.pending?.documents.map(({ needs }) => needs[0])).toEqual(
      Array.from({ length: 3 }, () => ({
        why: "root",
        threshold: 2,
        signedBy: ["alice"],
        missing: ["bob"],
      })),
    )
    const { request, answer } = await askBob(shop, desk, bob)
    expect(readFileSync(request, "utf8")).not.toContain("PRIVATE")
    const trust = await desk.engine.trust.assemble({ answers: [await refer(desk, answer)] })
    expect(trust.pending).toBeNull()
    expect(trust.roots?.image.version).toBe(1)
  })

  test.each([
    ["carol", "bob"],
    ["bob", "carol"],
  ])(
    "changes owners only with the old threshold and the new one: %s alone is half, with %s it is whole",
    async (first, second) => {
      const { shop, desk, bob } = await twoOwners()
      await assembleBob(shop, desk, bob)
      const carol = shop.place("carol")
      await carol.engine.keys.create({ name: "carol", purpose: "signing" })
      const next = await desk.engine.trust.change({
        kind: "rotate",
        roles: { root: role([own("alice"), await publicKeyOf(carol, "carol", desk)], 2) },
        gates: null,
        offlineDays: null,
      })
      expect(next.roots?.image.version).toBe(1)
      expect(next.pending?.documents[0]?.needs).toEqual([
        { why: "root before", threshold: 2, signedBy: ["alice"], missing: ["bob"] },
        { why: "root", threshold: 2, signedBy: ["alice"], missing: ["carol"] },
      ])
      const request = shop.at("rotation.json")
      await desk.engine.trust.request({ output: await outputOf(desk, request) })
      for (const [place, key] of [
        [bob, "bob"],
        [carol, "carol"],
      ] as const) {
        const output = await outputOf(place, shop.at(`${key}.answer`))
        await place.engine.trust.sign({ request: await refer(place, request), key, output })
      }
      const half = await desk.engine.trust.assemble({
        answers: [await refer(desk, shop.at(`${first}.answer`))],
      })
      expect(half).toMatchObject({ roots: { image: { version: 1 } }, pending: { isComplete: false } })
      const whole = await desk.engine.trust.assemble({
        answers: [await refer(desk, shop.at(`${second}.answer`))],
      })
      expect(whole).toMatchObject({
        roots: { image: { version: 2 }, director: { version: 2 } },
        pending: null,
      })
    },
  )

  test("shows its signers what the documents say, and signs no other than those they saw", async () => {
    const { shop, desk, bob } = await twoOwners()
    const { request } = await askBob(shop, desk, bob)
    const file = await refer(bob, request)
    const { documents: asked } = await bob.engine.trust.look({ request: file })
    for (const { needs } of asked) expect(needs[0]?.missing).toEqual(["bob"])
    const said = asked.map(({ says }) => says.map((line) => line.replaceAll(/ [0-9a-f]{8} /g, " ")))
    const owners = "root: 2 of alice (software), bob (software)"
    expect(said[0]).toEqual([
      owners,
      owners.replace("root", "targets"),
      "snapshot: 1 of desk (software)",
      "timestamp: 1 of desk (software)",
      "until 2029-01-03T08:00:00Z",
    ])
    expect(said[2]).toEqual([
      "release-manager: 1 of alice (software)",
      "packager: 1 of press (software)",
      "a release needs 0 approval(s); validation: none",
      "devices may stay without news for 30 days",
      "until 2029-01-03T08:00:00Z",
    ])
    const sign = async (seen: readonly string[]) =>
      bob.engine.trust.sign({
        request: file,
        key: "bob",
        seen: [...seen],
        output: await outputOf(bob, shop.at("seen.answer")),
      })
    const fingerprints = asked.map(({ fingerprint }) => fingerprint)
    await expect(sign([...fingerprints.slice(1), "0".repeat(64)])).toFailWithCode("TRUST_CHANGED")
    expect((await sign(fingerprints)).documents).toHaveLength(3)
  })

  test("refuses signatures for another draft, forged ones and those of people who are not asked", async () => {
    const { shop, desk, bob } = await twoOwners()
    const { request, answer } = await askBob(shop, desk, bob)
    await bob.engine.keys.create({ name: "mallory", purpose: "signing" })
    await expect(
      bob.engine.trust.sign({
        request: await refer(bob, request),
        key: "mallory",
        output: await outputOf(bob, shop.at("mallory.answer")),
      }),
    ).toFailWithCode("ROLE_MISSING")

    const forged = JSON.parse(readFileSync(answer, "utf8")) as {
      signatures: { signature: { sig: string } }[]
    }
    const [first, second] = forged.signatures
    if (first === undefined || second === undefined) throw new Error("the answer has too few signatures")
    ;[first.signature.sig, second.signature.sig] = [second.signature.sig, first.signature.sig]
    writeFileSync(shop.at("forged.answer"), JSON.stringify(forged))
    await expect(
      desk.engine.trust.assemble({ answers: [await refer(desk, shop.at("forged.answer"))] }),
    ).toFailWithCode("SIGNATURE_INVALID")

    await desk.engine.trust.discard()
    shop.later({ minutes: 1 })
    await initTwoOwners(desk, bob)
    await expect(desk.engine.trust.assemble({ answers: [await refer(desk, answer)] })).toFailWithCode(
      "TRUST_CHANGED",
    )
    writeFileSync(shop.at("garbage"), "{}")
    await expect(
      desk.engine.trust.assemble({ answers: [await refer(desk, shop.at("garbage"))] }),
    ).toFailWithCode("REQUEST_MALFORMED")
  })
})

function documents(place: Place, name: string): Uint8Array {
  return readFileSync(path.join(place.workspace, "documents", "tuf", name))
}

async function init(desk: Place, roles: Parameters<typeof initShop>[1]) {
  return desk.engine.trust.init({
    roles: {
      root: role([own("alice")]),
      "release-manager": role([own("alice")]),
      packager: role([own("press")]),
      online: role([own("desk")]),
      director: role([own("desk")]),
      ...roles,
    },
    gates: { approvals: 0, validation: "none" },
    offlineDays: 30,
  })
}

async function initAgain(desk: Place) {
  return init(desk, {})
}

async function initTwoOwners(desk: Place, bob: Place) {
  return init(desk, { root: role([own("alice"), await publicKeyOf(bob, "bob", desk)], 2) })
}

async function twoOwners() {
  const shop = new Shop(temporaryFolder())
  const desk = shop.place("desk")
  const bob = shop.place("bob")
  await bob.engine.keys.create({ name: "bob", purpose: "signing" })
  for (const name of ["alice", "press", "desk"]) await desk.engine.keys.create({ name, purpose: "signing" })
  await initTwoOwners(desk, bob)
  return { shop, desk, bob }
}

async function askBob(shop: Shop, desk: Place, bob: Place) {
  const request = shop.at("request.json")
  const answer = shop.at("bob.answer")
  await desk.engine.trust.request({ output: await outputOf(desk, request) })
  await bob.engine.trust.sign({
    request: await refer(bob, request),
    key: "bob",
    output: await outputOf(bob, answer),
  })
  return { request, answer }
}

async function assembleBob(shop: Shop, desk: Place, bob: Place) {
  const { answer } = await askBob(shop, desk, bob)
  await desk.engine.trust.assemble({ answers: [await refer(desk, answer)] })
}
