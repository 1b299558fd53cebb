/** The owner's ledger while it is open: what it says, and adding to it. */
import { AppError } from "../../contract/errors.ts"
import { decryptBytes, encryptBytes } from "../../core/age/file.ts"
import type { Identity, Recipient } from "../../core/age/recipient.ts"
import { checkRecipientsUnmixed, parseIdentity, parseRecipient } from "../../core/age/recipients.ts"
import { generateX25519, x25519IdentityText } from "../../core/age/x25519.ts"
import { toHex, wipe } from "../../core/bytes/bytes.ts"
import {
  foldEntries,
  linkTo,
  readSegment,
  type Segment,
  writeSegment,
  type LedgerEntry,
  type LedgerState,
} from "../../core/watermark/ledger.ts"
import type { Ports } from "../ports.ts"
import type { LedgerFiles, LedgerHeader, OwnerKey } from "../ports/ledger.ts"

/** What a ledger needs from the world. */
export type LedgerPorts = Pick<Ports, "ledger" | "random" | "now"> & {
  readonly keys: Pick<Ports["keys"], "find" | "identity">
}

const MASTER_KEY_BYTES = 32
/** Another process may add a segment while we make ours; after so many times something else is wrong. */
const MAX_APPENDS = 20

/** `masterKey` is a secret in memory until `close`. */
export class OpenLedger {
  readonly header: LedgerHeader
  readonly masterKey: Uint8Array
  readonly #ports: LedgerPorts
  readonly #recipients: readonly Recipient[]
  readonly #identity: Identity
  #entries: readonly LedgerEntry[]
  /** How many of the first entries are older than receipts. */
  #beforeReceipts: number
  #state: LedgerState
  #segments: number
  #previous: string

  /** Throws LEDGER_NOT_FOUND, LEDGER_DAMAGED, WRONG_KEY, KEY_NOT_FOUND, KEY_UNREADABLE. */
  static async open(ports: LedgerPorts): Promise<OpenLedger> {
    const files = await ports.ledger.read()
    if (files === null) throw new AppError("LEDGER_NOT_FOUND", "this workspace has no ledger")
    return openFiles(ports, files, await ownerIdentity(ports, files.header.owner))
  }

  /** The ledger, made with a software owner key when there is none yet. `created` tells which. */
  static async openOrCreate(
    ports: LedgerPorts,
  ): Promise<{ readonly ledger: OpenLedger; readonly created: boolean }> {
    if ((await ports.ledger.read()) !== null) return { ledger: await OpenLedger.open(ports), created: false }
    try {
      await createLedger(ports, { kind: "file" }, [])
    } catch (error) {
      // Somebody else was faster: theirs is as good.
      if (!(error instanceof AppError && error.code === "LEDGER_EXISTS")) throw error
    }
    return { ledger: await OpenLedger.open(ports), created: true }
  }

  constructor(
    ports: LedgerPorts,
    header: LedgerHeader,
    masterKey: Uint8Array,
    identity: Identity,
    read: {
      readonly entries: readonly LedgerEntry[]
      readonly beforeReceipts: number
      readonly segments: number
      readonly previous: string
    },
  ) {
    this.#ports = ports
    this.header = header
    this.masterKey = masterKey
    this.#identity = identity
    this.#recipients = header.recipients.map((text) => parseRecipient(text))
    this.#entries = read.entries
    this.#beforeReceipts = read.beforeReceipts
    this.#segments = read.segments
    this.#previous = read.previous
    this.#state = foldEntries(read.entries, read.beforeReceipts)
  }

  get state(): LedgerState {
    return this.#state
  }

  get segments(): number {
    return this.#segments
  }

  /**
   * Adds what `make` makes of the newest state as one segment; nothing when that is nothing. Made again when somebody else
   * was faster. When this returns the entries survive a power cut. Throws LEDGER_BUSY, NO_SPACE.
   */
  async append(make: (state: LedgerState) => readonly LedgerEntry[]): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const entries = make(this.#state)
      if (entries.length === 0) return
      const state = foldEntries([...this.#entries, ...entries], this.#beforeReceipts)
      const number = this.#segments + 1
      const plain = writeSegment({ number, previous: this.#previous, entries: [...entries] })
      const sealed = encryptBytes(plain, this.#recipients, this.#ports.random)
      wipe(plain)
      try {
        await this.#ports.ledger.append(number, sealed)
      } catch (error) {
        const isBusy = error instanceof AppError && error.code === "LEDGER_BUSY"
        if (!isBusy || attempt === MAX_APPENDS) throw error
        await this.#reload()
        continue
      }
      this.#entries = [...this.#entries, ...entries]
      this.#state = state
      this.#segments = number
      this.#previous = linkTo(sealed)
      return
    }
  }

  close(): void {
    wipe(this.masterKey)
  }

  async #reload(): Promise<void> {
    const files = await this.#ports.ledger.read()
    if (files === null) throw new AppError("LEDGER_DAMAGED", "the ledger disappeared while it was open")
    const read = await readEntries(files, this.#identity)
    this.#entries = read.entries
    this.#beforeReceipts = read.beforeReceipts
    this.#segments = read.segments
    this.#previous = read.previous
    this.#state = foldEntries(read.entries, read.beforeReceipts)
  }
}

/** Throws LEDGER_DAMAGED, WRONG_KEY: every segment must open and follow the one before. */
export async function openFiles(
  ports: LedgerPorts,
  files: LedgerFiles,
  identity: Identity,
): Promise<OpenLedger> {
  const masterKey = await decryptBytes(files.master, [identity])
  try {
    if (masterKey.length !== MASTER_KEY_BYTES)
      throw new AppError("LEDGER_DAMAGED", "the master key is not 32 bytes long")
    return new OpenLedger(ports, files.header, masterKey, identity, await readEntries(files, identity))
  } catch (error) {
    wipe(masterKey)
    throw error
  }
}

/**
 * Makes a ledger: a fresh master key, encrypted to the owner and everybody in `backups`. With an owner of kind `file` a
 * software key is made and kept beside it. Throws LEDGER_EXISTS, RECIPIENT_INVALID, RECIPIENTS_MIXED, KEY_NOT_FOUND.
 */
export async function createLedger(
  ports: LedgerPorts,
  owner: OwnerKey,
  backups: readonly string[],
): Promise<LedgerHeader> {
  const made = owner.kind === "file" ? makeOwner(ports) : { recipient: await recipientOf(ports, owner.name) }
  const recipients = [...new Set([made.recipient, ...backups])]
  const parsed = recipients.map((text) => parseRecipient(text))
  checkRecipientsUnmixed(parsed)
  const masterKey = ports.random(MASTER_KEY_BYTES)
  try {
    const header: LedgerHeader = {
      id: toHex(ports.random(16)),
      owner,
      recipients,
      createdAt: ports.now().toISOString(),
    }
    const master = encryptBytes(masterKey, parsed, ports.random)
    await ports.ledger.create({ header, master, segments: [] }, "identity" in made ? made.identity : null)
    return header
  } finally {
    wipe(masterKey)
  }
}

/** The identity that opens a ledger of this owner, from beside it or from the key store. */
async function ownerIdentity(ports: LedgerPorts, owner: OwnerKey): Promise<Identity> {
  if (owner.kind === "file") return ports.ledger.ownerIdentity()
  return ports.keys.identity(await ports.keys.find(owner.name, "device"))
}

async function readEntries(files: LedgerFiles, identity: Identity) {
  const entries: LedgerEntry[] = []
  let beforeReceipts = 0
  let version: Segment["version"] = 1
  let previous = linkTo(files.master)
  for (const [index, sealed] of files.segments.entries()) {
    const plain = await decryptBytes(sealed, [identity])
    try {
      const segment = readSegment(plain, index + 1, previous, version)
      version = segment.version
      entries.push(...segment.entries)
      if (version === 1) beforeReceipts = entries.length
    } finally {
      wipe(plain)
    }
    previous = linkTo(sealed)
  }
  return { entries, beforeReceipts, segments: files.segments.length, previous }
}

function makeOwner(ports: LedgerPorts): { readonly recipient: string; readonly identity: string } {
  const { secretKey, recipient } = generateX25519(ports.random)
  try {
    return { recipient, identity: x25519IdentityText(secretKey) }
  } finally {
    wipe(secretKey)
  }
}

async function recipientOf(ports: LedgerPorts, name: string): Promise<string> {
  const { recipient } = await ports.keys.find(name, "device")
  if (recipient === null) throw new AppError("KEY_PURPOSE", `key ${name} cannot open anything`)
  return recipient
}

/** An identity as people keep it in a file: comments and one line. Throws IDENTITY_INVALID. */
export function identityLine(text: string): { readonly line: string; readonly identity: Identity } {
  const line = text
    .split(/\r?\n/)
    .map((part) => part.trim())
    .find((part) => part !== "" && !part.startsWith("#"))
  if (line === undefined) throw new AppError("IDENTITY_INVALID", "the identity file is empty")
  return { line, identity: parseIdentity(line) }
}
