import { expect, onTestFinished, test } from "vitest"
import { AppError } from "../../../main/contract/errors.ts"
import { toUtf8 } from "../../../main/core/bytes/bytes.ts"
import { sha256Digest } from "../../../main/core/oci/manifest.ts"
import { localPorts } from "../../../main/platform/ports.ts"
import {
  forgetRefusal,
  keepRefused,
  MAX_REFUSALS,
  refusalsOf,
} from "../../../main/services/release/refused-receipts.ts"
import { temporaryFolder } from "../../support/workspace.ts"

test("a registry full of wrong receipts does not fill the desk's disk", async () => {
  const { ports, close } = localPorts(temporaryFolder())
  onTestFinished(close)
  const refusal = new AppError("SIGNATURE_INVALID", "not by this device")
  const digests = Array.from({ length: MAX_REFUSALS + 4 }, (_, index) => sha256Digest(toUtf8(`${index}`)))
  for (const digest of digests) await keepRefused(ports, "press-07", digest, refusal)
  expect(await refusalsOf(ports, "press-07")).toHaveLength(MAX_REFUSALS)
  // One that counts after all makes room.
  for (const digest of digests.slice(0, 1)) await forgetRefusal(ports, "press-07", digest)
  for (const digest of digests.slice(-1)) await keepRefused(ports, "press-07", digest, refusal)
  expect(await refusalsOf(ports, "press-07")).toHaveLength(MAX_REFUSALS)
})
