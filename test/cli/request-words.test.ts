/** Requests to sign come from other desks: what they say is shown, and nothing of it steers the terminal. */
import { expect, test } from "vitest"
import { pendingText } from "../../main/cli/commands/trust.ts"
import { releaseText } from "../../main/cli/release-text.ts"

const EVIL = "\u001b[2J\u202eevil\r\u0007"
// oxlint-disable-next-line no-control-regex -- control characters are exactly what is looked for
const STEERING = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/

test("a release from a request", () => {
  const shown = releaseText({
    name: EVIL,
    state: "draft",
    digest: EVIL,
    createdAt: EVIL,
    counter: 1,
    hardwareIds: [EVIL],
    packages: [EVIL],
    payloadBytes: 1,
    devices: [EVIL],
    rings: [EVIL],
    gates: [{ gate: "approvals", isOpen: false, detail: EVIL }],
    approvals: { by: [EVIL], needed: 1 },
    previous: EVIL,
    changes: [
      { what: EVIL, before: EVIL, after: EVIL },
      { what: "devices", before: "", after: EVIL },
      { what: "policy", before: "", after: JSON.stringify({ [EVIL]: { [EVIL]: EVIL } }) },
      { what: "policy", before: "", after: EVIL },
    ],
    pending: null,
  })
  expect(shown).toContain("evil")
  expect(shown).not.toMatch(STEERING)
})

test("documents from a request", () => {
  const shown = pendingText({
    title: EVIL,
    isComplete: false,
    documents: [
      {
        what: EVIL,
        fingerprint: "0".repeat(64),
        says: [EVIL],
        needs: [{ why: EVIL, threshold: 1, signedBy: [EVIL], missing: [EVIL] }],
      },
    ],
  })
  expect(shown).toContain("evil")
  expect(shown).not.toMatch(STEERING)
})
