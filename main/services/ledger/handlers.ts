/** What clients may ask about the ledger. */
import { AppError } from "../../contract/errors.ts"
import type { ExportedLedger, Ledger } from "../../contract/schema/ledger.ts"
import { engineRouter } from "../../contract/server.ts"
import type { FileRef } from "../../contract/schema/base.ts"
import { readUtf8, wipe } from "../../core/bytes/bytes.ts"
import type { Ports } from "../ports.ts"
import type { LedgerFiles } from "../ports/ledger.ts"
import { readBackup, writeBackup } from "./backup.ts"
import { createLedger, identityLine, openFiles, OpenLedger } from "./open-ledger.ts"

export function ledgerHandlers(ports: Ports) {
  const os = engineRouter.ledger
  return {
    init: os.init.handler(async ({ input }) => {
      const owner =
        input.ownerKey === null
          ? ({ kind: "file" } as const)
          : ({ kind: "key", name: input.ownerKey } as const)
      await createLedger(ports, owner, input.recipients)
      return ledgerStatus(ports)
    }),
    status: os.status.handler(async () => ledgerStatus(ports)),
    export: os.export.handler(async ({ input }) => exportLedger(ports, input.output)),
    import: os.import.handler(async ({ input }) => importLedger(ports, input.file, input.identity)),
  }
}

async function ledgerStatus(ports: Ports): Promise<Ledger> {
  const ledger = await OpenLedger.open(ports)
  try {
    return describe(ledger)
  } finally {
    ledger.close()
  }
}

/** Writes everything but the owner's key, which must never lie beside what it opens. */
async function exportLedger(
  ports: Ports,
  output: { readonly file: FileRef; readonly replace: boolean },
): Promise<ExportedLedger> {
  const ledger = await OpenLedger.open(ports)
  try {
    // The note goes in first, so that the backup knows of itself.
    await ledger.append(() => [{ kind: "exported", at: ports.now().toISOString() }])
    const files = await readFiles(ports)
    const bytes = writeBackup(files)
    const pending = await ports.files.create(output.file, { replace: output.replace, isSecret: true })
    try {
      await pending.write(0, bytes)
      await pending.commit()
    } finally {
      await pending.discard()
    }
    return {
      name: ports.files.nameOf(output.file),
      bytes: bytes.length,
      segments: files.segments.length,
      alsoNeeded:
        files.header.owner.kind === "file"
          ? "the owner's identity, ledger/owner.txt in the workspace: keep it apart from this file"
          : `the owner's key ${files.header.owner.name}`,
    }
  } finally {
    ledger.close()
  }
}

/** Takes over a backup after every segment of it opened. Throws LEDGER_EXISTS, LEDGER_DAMAGED, WRONG_KEY. */
async function importLedger(ports: Ports, ref: FileRef, identityRef: FileRef | null): Promise<Ledger> {
  const files = await readBackup(ports.files, ref)
  const text = identityRef === null ? null : await readIdentity(ports, identityRef)
  const { owner } = files.header
  if (text === null && owner.kind === "file")
    throw new AppError(
      "USAGE",
      "this ledger has a software owner key: give its identity file with --identity",
    )
  const identity =
    text === null || owner.kind === "key"
      ? await ports.keys.identity(await ports.keys.find(owner.kind === "key" ? owner.name : "", "device"))
      : identityLine(text).identity
  const checked = await openFiles(ports, files, identity)
  checked.close()
  await ports.ledger.create(files, text === null ? null : identityLine(text).line)
  return ledgerStatus(ports)
}

function describe(ledger: OpenLedger): Ledger {
  const { header, segments } = ledger
  const { devices, plans, issued, exportedAt } = ledger.state
  return {
    id: header.id,
    createdAt: header.createdAt,
    owner: header.owner,
    recipients: [...header.recipients],
    segments,
    devices: [...devices].map(([name, number]) => ({ name, number })),
    models: [...plans.values()].map(({ plan, model, commitment, at }) => ({
      name: model,
      modelHash: plan.modelHash,
      commitment,
      tensors: plan.tensors.length,
      copies: issued.filter(({ modelHash }) => modelHash === plan.modelHash).length,
      plannedAt: at,
    })),
    copies: issued.length,
    exportedAt,
  }
}

async function readFiles(ports: Ports): Promise<LedgerFiles> {
  const files = await ports.ledger.read()
  if (files === null) throw new AppError("LEDGER_NOT_FOUND", "this workspace has no ledger")
  return files
}

/** An identity file is small; a larger one is something else. */
const MAX_IDENTITY_BYTES = 64 << 10

async function readIdentity(ports: Ports, ref: FileRef): Promise<string> {
  const file = await ports.files.open(ref)
  try {
    if (file.size > MAX_IDENTITY_BYTES)
      throw new AppError("IDENTITY_INVALID", "the identity file is too large")
    const bytes = await file.read(0, file.size)
    try {
      const text = readUtf8(bytes)
      if (text === null) throw new AppError("IDENTITY_INVALID", "the identity file is not text")
      return text
    } finally {
      wipe(bytes)
    }
  } finally {
    await file.close()
  }
}
