/** The ports of a ledger with a software owner key and nothing else of the product. */
import { randomBytes } from "node:crypto"
import path from "node:path"
import { AppError } from "../../main/contract/errors.ts"
import { ledgerFolder } from "../../main/platform/ledger/ledger-folder.ts"
import type { LedgerPorts } from "../../main/services/ledger/open-ledger.ts"

export function ledgerPorts(workspace: string): LedgerPorts {
  const none = async (): Promise<never> => {
    throw new AppError("KEY_NOT_FOUND", "there are no other keys here")
  }
  return {
    ledger: ledgerFolder(path.join(workspace, "ledger")),
    random: (size) => new Uint8Array(randomBytes(size)),
    now: () => new Date("2026-01-01T00:00:00.000Z"),
    keys: { find: none, identity: none },
  }
}
