/** A slice of a fuzzing campaign: cases numbered from `first` on, every `step`th. Case i of seed s is always the same lie. */
import { makeAgeSamples, type AgeSample } from "./age-samples.ts"
import { AGE_LIES } from "./age-lies.ts"
import { Dice } from "./random.ts"
import { readAge, sealReader, type Outcome, type SealReader } from "./readers.ts"
import { SEAL_LIES } from "./seal-lies.ts"
import { makeSealWorld, type SealWorld } from "./seal-samples.ts"

export interface Slice {
  readonly seed: number
  readonly first: number
  readonly step: number
  readonly end: number
}

export interface Tally {
  cases: number
  /** Refusals by class of lie and by code. */
  readonly byLie: Record<string, number>
  readonly byCode: Record<string, number>
  /** What must never happen, with the numbers of the cases. */
  readonly faults: Fault[]
  slowestMs: number
  slowestCase: number
  /** How far the largest resident size rose above that before the first case, bytes. */
  grownBytes: number
}

export interface Fault {
  readonly index: number
  readonly lie: string
  readonly kind: "accepted" | "crashed" | "hung"
  readonly detail: string
}

/** Longest a lie may keep a reader busy. */
const MAX_MS = 1000
/** Further faults tell nothing new. */
const MAX_FAULTS = 20
/** One case in so many is a .seal file: reading one costs as much as several age files. */
const SEAL_SHARE = 8

/** `onCase` is called with the number of every case before it is tried, so that a crash can be traced. */
export async function runSlice(slice: Slice, onCase: (index: number, soFar: Tally) => void): Promise<Tally> {
  const ages = await makeAgeSamples(slice.seed)
  const world = await makeSealWorld(slice.seed)
  const reader = sealReader(world)
  const tally: Tally = {
    cases: 0,
    byLie: {},
    byCode: {},
    faults: [],
    slowestMs: 0,
    slowestCase: -1,
    grownBytes: 0,
  }
  try {
    await checkSamples(ages, world, reader)
    const before = peakBytes()
    for (let index = slice.first; index < slice.end; index += slice.step) {
      onCase(index, tally)
      await tryCase(slice.seed, index, ages, world, reader, tally)
    }
    tally.grownBytes = peakBytes() - before
    return tally
  } finally {
    await reader.close()
  }
}

/** A campaign over readers that refuse everything would prove nothing: the truth is accepted. */
async function checkSamples(ages: readonly AgeSample[], world: SealWorld, reader: SealReader): Promise<void> {
  for (const sample of ages) {
    for (const turn of [0, 1]) {
      const outcome = await readAge(sample.file, sample, turn)
      if (outcome !== "accepted")
        throw new Error(`the untouched sample ${sample.name} is refused: ${outcome}`)
    }
  }
  for (const { name, bytes } of world.samples) {
    const outcome = await reader.read(bytes)
    if (outcome !== "accepted") throw new Error(`the untouched .seal file (${name}) is refused: ${outcome}`)
  }
}

async function tryCase(
  seed: number,
  index: number,
  ages: readonly AgeSample[],
  world: SealWorld,
  reader: SealReader,
  tally: Tally,
): Promise<void> {
  const dice = new Dice(seed, index)
  const told = dice.below(SEAL_SHARE) === 0 ? await sealLie(dice, world) : ageLie(dice, ages)
  const startedAt = performance.now()
  const usedBefore = process.cpuUsage()
  let outcome: Outcome
  try {
    outcome =
      told.sample === null ? await reader.read(told.bytes) : await readAge(told.bytes, told.sample, index)
  } catch (error) {
    fault(tally, { index, lie: told.lie, kind: "crashed", detail: String(error) })
    return
  }
  // On a machine with other work a case may wait; what counts is what it did itself. One that waits for ever falls silent.
  const used = process.cpuUsage(usedBefore)
  const ms = Math.min(performance.now() - startedAt, (used.user + used.system) / 1000)
  tally.cases += 1
  if (ms > tally.slowestMs) {
    tally.slowestMs = ms
    tally.slowestCase = index
  }
  if (outcome === "accepted") fault(tally, { index, lie: told.lie, kind: "accepted", detail: "" })
  if (ms > MAX_MS) fault(tally, { index, lie: told.lie, kind: "hung", detail: `${Math.round(ms)} ms` })
  count(tally.byLie, told.lie)
  count(tally.byCode, outcome)
}

interface Told {
  readonly lie: string
  readonly bytes: Uint8Array
  /** The age file it is about, or `null` for a .seal file. */
  readonly sample: AgeSample | null
}

const AGES = Object.entries(AGE_LIES)
const SEALS = Object.entries(SEAL_LIES)
/** Lies of a megabyte, or that need signatures of their own: one in eight of the others. */
const COSTLY = new Set([
  "too many stanzas",
  "oversized stanza",
  "oversized argument",
  "endless header",
  "seal: overlay altered",
])

function ageLie(dice: Dice, ages: readonly AgeSample[]): Told {
  for (;;) {
    const [lie, tell] = dice.pick(AGES)
    if (COSTLY.has(lie) && dice.below(8) !== 0) continue
    const sample = dice.pick(ages)
    const bytes = tell(sample, dice, ages)
    if (bytes !== null && Buffer.compare(bytes, sample.file) !== 0) return { lie, bytes, sample }
  }
}

async function sealLie(dice: Dice, world: SealWorld): Promise<Told> {
  for (;;) {
    const [lie, tell] = dice.pick(SEALS)
    if (COSTLY.has(lie) && dice.below(8) !== 0) continue
    const sample = dice.pick(world.samples)
    const bytes = await tell(sample, dice, world)
    if (bytes !== null && Buffer.compare(bytes, sample.bytes) !== 0) return { lie, bytes, sample: null }
  }
}

function fault(tally: Tally, found: Fault): void {
  if (tally.faults.length < MAX_FAULTS) tally.faults.push(found)
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1
}

function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024
}
