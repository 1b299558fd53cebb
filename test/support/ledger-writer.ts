/** Makes a ledger in the workspace given, or adds to the one there: a program of its own, so that tests can kill it. */
import { AppError } from "../../main/contract/errors.ts"
import { nextDeviceNumber } from "../../main/core/watermark/ledger.ts"
import { OpenLedger } from "../../main/services/ledger/open-ledger.ts"
import { ledgerPorts } from "./ledger-ports.ts"

const [workspace = "", ...names] = process.argv.slice(2)
if (workspace === "") throw new AppError("USAGE", "which workspace")
const { ledger } = await OpenLedger.openOrCreate(ledgerPorts(workspace))
for (const name of names) {
  await ledger.append((state) => [
    { kind: "device", name, number: nextDeviceNumber(state), at: "2026-01-01T00:00:00.000Z" },
  ])
}
ledger.close()
