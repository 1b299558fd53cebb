/** What the inference firewall enforces (docs/FORMAT.md, Policy): part of the signed grant, so the device cannot relax it. */
import { z } from "zod"

const finite = z.number().refine(Number.isFinite, "not finite")

/** Rows, not calls, are counted everywhere: a batch tells as much as its rows one by one. */
export const firewallSchema = z.strictObject({
  /** Sustained rows a second and the largest burst, for each client; `null` is no limit. */
  rate: z
    .strictObject({ rowsPerSecond: z.number().positive().max(1e9), burstRows: z.int().positive() })
    .nullable(),
  /** Rows all clients together may ever ask on this device under this grant; `null` is no limit. */
  lifetimeRows: z.int().positive().nullable(),
  rowsPerCall: z.int().positive().nullable(),
  /** Smallest and largest value an input may hold, by input name. Inputs not named may hold any finite value. */
  ranges: z.record(z.string(), z.strictObject({ min: finite, max: finite })),
  /** Lets NaN and infinities through; for models that use them as "missing". */
  allowNonFinite: z.boolean(),
  output: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("full") }),
    /** Floating-point outputs rounded to this many decimal digits. */
    z.strictObject({ kind: z.literal("round"), digits: z.int().min(0).max(9) }),
    /** The k largest values of each row stay; the others become the smallest of them. */
    z.strictObject({ kind: z.literal("top"), k: z.int().positive() }),
    /** Each row becomes one-hot at its largest value. */
    z.strictObject({ kind: z.literal("label") }),
  ]),
  watch: z.strictObject({
    action: z.enum(["off", "warn", "slow", "refuse"]),
    /** Shares of a client's recent rows above which a pattern counts as seen. */
    nearDuplicates: z.number().gt(0).max(1),
    boundaryProbes: z.number().gt(0).max(1),
    /** Lowest Shapiro-Francia statistic of the distances between rows that natural queries are expected to have. */
    naturalness: z.number().min(0).max(1),
    /** What `slow` adds to every call of a client that was noticed, milliseconds. */
    delayMs: z.int().min(0).max(60_000),
  }),
})
export type FirewallRules = z.infer<typeof firewallSchema>

/** What applies when nobody chose otherwise: inputs are checked, outputs are whole, patterns are reported. */
export const DEFAULT_FIREWALL: FirewallRules = {
  rate: null,
  lifetimeRows: null,
  rowsPerCall: null,
  ranges: {},
  allowNonFinite: false,
  output: { kind: "full" },
  watch: { action: "warn", nearDuplicates: 0.3, boundaryProbes: 0.1, naturalness: 0.85, delayMs: 1000 },
}
