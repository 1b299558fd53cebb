/**
 * The inference firewall: what stands between a client and a loaded model. Every call is admitted (token, budget, rate,
 * inputs), answered by the model, watched, and its answer treated; every call leaves one audit record, refused ones too.
 */
import { createHmac } from "node:crypto"
import { AppError, toAppError, type ErrorCode } from "../../../contract/errors.ts"
import { isEqual, toHex } from "../../bytes/bytes.ts"
import type { FirewallArray } from "./array.ts"
import { ExtractionWatch, type WatchSigns } from "./extraction-watch.ts"
import { checkInputs, type DeclaredInput } from "./input-check.ts"
import { labelsOf, treatOutputs } from "./output-treatment.ts"
import type { FirewallRules } from "./rules.ts"
import { Sketcher } from "./sketch.ts"
import { TokenBucket } from "./token-bucket.ts"

/** One call, as the audit log keeps it: who, when, how much, what was decided. Inputs only as a salted digest. */
export interface AuditRecord {
  readonly at: string
  readonly client: string
  readonly rows: number
  /** HMAC-SHA256 of the inputs under a salt of this runtime, hex: equal inputs are recognised, and nothing else. */
  readonly inputs: string
  readonly decision: "answered" | "refused" | "failed"
  readonly code: ErrorCode | null
  readonly signs: WatchSigns["seen"]
  readonly milliseconds: number
}

export interface FirewallSettings {
  readonly rules: FirewallRules
  readonly inputs: readonly DeclaredInput[]
  /** Rows that were answered before, under the same grant. */
  readonly rowsUsed: number
  /** 32 random bytes each. */
  readonly salt: Uint8Array
  readonly seed: Uint8Array
  readonly now: () => Date
  /** Steady time, milliseconds. */
  readonly clockMs: () => number
  /** Called before the model answers, so that a crash never gives rows back. */
  readonly spend: (rowsUsed: number) => Promise<void>
  readonly audit: (record: AuditRecord) => void
  readonly pause: (milliseconds: number, signal: AbortSignal) => Promise<void>
}

export interface ClientStatus {
  readonly client: string
  readonly calls: number
  readonly rows: number
  readonly refused: number
  readonly signs: WatchSigns
}

/** Answers a call; the model itself. */
export type Infer = (inputs: readonly FirewallArray[]) => Promise<readonly FirewallArray[]>

export class Firewall {
  readonly #settings: FirewallSettings
  readonly #sketcher: Sketcher
  readonly #clients = new Map<string, Client>()
  #rowsUsed: number

  constructor(settings: FirewallSettings) {
    this.#settings = settings
    this.#sketcher = new Sketcher(settings.seed)
    this.#rowsUsed = settings.rowsUsed
  }

  /** Lets a client in by a token of 32 random bytes, of which only the keyed digest is kept. Throws KEY_EXISTS. */
  admit(client: string, token: Uint8Array): void {
    if (this.#clients.has(client)) throw new AppError("KEY_EXISTS", `there is a client ${client} already`)
    const { rules, clockMs } = this.#settings
    const { rate } = rules
    this.#clients.set(client, {
      name: client,
      tokenDigest: this.#digest(token),
      bucket: rate === null ? null : new TokenBucket(rate.rowsPerSecond, rate.burstRows, clockMs()),
      watch: new ExtractionWatch(rules.watch),
      calls: 0,
      rows: 0,
      refused: 0,
    })
  }

  /** Name of the client a token belongs to, found in constant time for each. Throws CLIENT_UNKNOWN. */
  identify(token: Uint8Array): string {
    const digest = this.#digest(token)
    let found: string | null = null
    for (const client of this.#clients.values()) if (isEqual(client.tokenDigest, digest)) found = client.name
    if (found === null) throw new AppError("CLIENT_UNKNOWN", "no client has this token")
    return found
  }

  /**
   * One call. Throws what checkInputs throws, CLIENT_UNKNOWN, RATE_LIMITED, BUDGET_SPENT, EXTRACTION_SUSPECTED, and what
   * the model throws.
   */
  async call(
    name: string,
    inputs: readonly FirewallArray[],
    infer: Infer,
    signal: AbortSignal,
  ): Promise<readonly FirewallArray[]> {
    const { rules, clockMs } = this.#settings
    const client = this.#clients.get(name)
    if (client === undefined) throw new AppError("CLIENT_UNKNOWN", "no client has this name")
    const startedAt = clockMs()
    let rows = 0
    let isAdmitted = false
    try {
      rows = checkInputs(inputs, this.#settings.inputs, rules)
      this.#checkWatch(client)
      this.#checkRate(client, rows)
      await this.#spend(rows)
      isAdmitted = true
      if (rules.watch.action === "slow" && client.watch.signs().seen.length > 0)
        await this.#settings.pause(rules.watch.delayMs, signal)
      const outputs = await infer(inputs)
      if (rules.watch.action !== "off")
        client.watch.observe(this.#sketcher.sketch(inputs, rows), labelsOf(outputs, rows))
      client.calls += 1
      client.rows += rows
      this.#record(client, rows, inputs, startedAt, "answered", null)
      return treatOutputs(outputs, rules.output)
    } catch (error) {
      client.refused += 1
      this.#record(client, rows, inputs, startedAt, isAdmitted ? "failed" : "refused", toAppError(error).code)
      throw error
    }
  }

  /** Forgets what was noticed about a client; its operator decided. Throws CLIENT_UNKNOWN. */
  clear(name: string): void {
    const client = this.#clients.get(name)
    if (client === undefined) throw new AppError("CLIENT_UNKNOWN", "no client has this name")
    client.watch = new ExtractionWatch(this.#settings.rules.watch)
  }

  status(): { readonly rowsUsed: number; readonly clients: readonly ClientStatus[] } {
    const clients = [...this.#clients.values()].map(({ name, calls, rows, refused, watch }) => ({
      client: name,
      calls,
      rows,
      refused,
      signs: watch.signs(),
    }))
    return { rowsUsed: this.#rowsUsed, clients }
  }

  #checkWatch(client: Client): void {
    const { action } = this.#settings.rules.watch
    const { seen } = client.watch.signs()
    if (action === "refuse" && seen.length > 0)
      throw new AppError("EXTRACTION_SUSPECTED", `the questions of ${client.name} show ${seen.join(", ")}`)
  }

  #checkRate(client: Client, rows: number): void {
    const wait = client.bucket?.take(rows, this.#settings.clockMs()) ?? 0
    if (wait === Number.POSITIVE_INFINITY)
      throw new AppError("RATE_LIMITED", `${rows} rows are more than one call may ever have`)
    if (wait > 0) throw new AppError("RATE_LIMITED", `the next call of ${rows} rows is free in ${wait} ms`)
  }

  async #spend(rows: number): Promise<void> {
    const limit = this.#settings.rules.lifetimeRows
    if (limit !== null && this.#rowsUsed + rows > limit)
      throw new AppError(
        "BUDGET_SPENT",
        `${this.#rowsUsed} of ${limit} rows are used, ${rows} more were asked`,
      )
    this.#rowsUsed += rows
    if (limit !== null) await this.#settings.spend(this.#rowsUsed)
  }

  #record(
    client: Client,
    rows: number,
    inputs: readonly FirewallArray[],
    startedAt: number,
    decision: AuditRecord["decision"],
    code: ErrorCode | null,
  ): void {
    this.#settings.audit({
      at: this.#settings.now().toISOString(),
      client: client.name,
      rows,
      inputs: toHex(this.#digest(...inputs.map(({ data }) => data))),
      decision,
      code,
      signs: client.watch.signs().seen,
      milliseconds: Math.round((this.#settings.clockMs() - startedAt) * 1000) / 1000,
    })
  }

  #digest(...parts: readonly Uint8Array[]): Uint8Array {
    const hmac = createHmac("sha256", this.#settings.salt)
    for (const part of parts) hmac.update(part)
    return hmac.digest()
  }
}

interface Client {
  readonly name: string
  readonly tokenDigest: Uint8Array
  readonly bucket: TokenBucket | null
  watch: ExtractionWatch
  calls: number
  rows: number
  refused: number
}
