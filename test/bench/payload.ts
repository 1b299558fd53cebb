/** The payload engine beside `cp` and the tools people encrypt files with. */
import { encryptBytes } from "../../main/core/age/file.ts"
import { softwareP256 } from "../../main/core/age/p256.ts"
import { p256TagRecipient } from "../../main/core/age/p256tag.ts"
import { tagScalar } from "../support/tag-keys.ts"
import { seededRandom } from "../support/seeded-random.ts"
import { median, type Bench, type Figure } from "./bench.ts"

const RUNS = 7
const GRANTS = 1000
const GRANT_BYTES = 64 << 10

export const payloadBench: Bench = {
  name: "payload",
  async run(report) {
    report(grants())
  },
}

/** Grants as protect issues them: one small age file a device. */
function grants(): Figure {
  const random = seededRandom(1)
  const plain = random(GRANT_BYTES)
  const recipient = p256TagRecipient(softwareP256(tagScalar).publicPoint)
  const seconds: number[] = []
  for (let run = 0; run < RUNS; run += 1) {
    const startedAt = performance.now()
    for (let index = 0; index < GRANTS; index += 1) encryptBytes(plain, [recipient], random)
    seconds.push((performance.now() - startedAt) / 1000)
  }
  const perSecond = GRANTS / median(seconds)
  return {
    name: "grants of 64 KiB to p256tag recipients",
    ours: perSecond,
    unit: "1/s",
    peer: null,
    peerValue: null,
    must: "at least 300/s (aim 1,000)",
    met: perSecond >= 300,
    how: `${GRANTS} in a row on one thread, median of ${RUNS}`,
  }
}
