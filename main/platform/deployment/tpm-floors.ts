/**
 * Floors as NV counters of a TPM (FORMAT 10.7). Where a counter starts is the TPM's choice, above counters it had before. So
 * there are three: they are counted up to the same value once, the first stays there, and what the others are ahead of it is
 * the floor. Nothing on the disk takes part in the number.
 */
import { AppError } from "../../contract/errors.ts"
import type { Floors } from "../../core/policy/deployment.ts"
import type { HardwareCounters } from "../../services/ports/attestor.ts"

/** The owner's range of NV indices (TCG registry of reserved TPM 2.0 handles, 2.3.2). */
const FIRST_INDEX = 0x0180_0000
/** A counter goes up by one a command; a word that asks for more than this is a mistake or an attack on the chip's life. */
const MAX_STEPS = 10_000n

/** Anchor, deployment, release: neighbours, at a place that follows from the device. */
function indicesOf(deviceId: string): readonly [number, number, number] {
  const first = FIRST_INDEX + Number.parseInt(deviceId.slice(0, 5), 16) * 4
  return [first, first + 1, first + 2]
}

export class TpmFloors {
  readonly #counters: HardwareCounters

  constructor(counters: HardwareCounters) {
    this.#counters = counters
  }

  /** Makes the counters unless they are there; returns the anchor. */
  async prepare(tcti: string | null, deviceId: string): Promise<bigint> {
    const [anchor, ...rest] = indicesOf(deviceId)
    const found = await this.#find(tcti, [anchor, ...rest])
    const [known] = found
    if (known !== undefined && known !== null && !found.includes(null)) return known
    // Left half made: no floor was ever kept in them.
    for (const index of [anchor, ...rest]) await this.#removeIfThere(tcti, index)
    const values = new Map<number, bigint>()
    for (const index of [anchor, ...rest]) values.set(index, await this.#counters.define(tcti, index))
    const start = [...values.values()].reduce((highest, value) => (value > highest ? value : highest))
    for (const [index, value] of values) await this.#count(tcti, index, start - value)
    return start
  }

  /** Throws FLOOR_LOST when a counter is gone or was made anew since `anchor`. */
  async read(tcti: string | null, deviceId: string, anchor: bigint): Promise<Floors> {
    const [first, deployment, release] = await this.#find(tcti, indicesOf(deviceId))
    if (first !== anchor || deployment === null || release === null)
      throw new AppError("FLOOR_LOST", "the TPM does not hold this device's counters any more")
    return { deployment: distance(deployment, anchor), release: distance(release, anchor) }
  }

  async raise(tcti: string | null, deviceId: string, anchor: bigint, floors: Floors): Promise<void> {
    const now = await this.read(tcti, deviceId, anchor)
    const [, deployment, release] = indicesOf(deviceId)
    const [byDeployment, byRelease] = [floors.deployment - now.deployment, floors.release - now.release]
    // Both are looked at before either counts.
    checkSteps(BigInt(Math.max(byDeployment, byRelease)))
    await this.#count(tcti, deployment, BigInt(byDeployment))
    await this.#count(tcti, release, BigInt(byRelease))
  }

  async #count(tcti: string | null, index: number, steps: bigint): Promise<void> {
    checkSteps(steps)
    for (let step = 0n; step < steps; step += 1n) await this.#counters.increment(tcti, index)
  }

  async #find(
    tcti: string | null,
    indices: readonly [number, number, number],
  ): Promise<readonly [bigint | null, bigint | null, bigint | null]> {
    const [a, b, c] = indices
    return [await this.#value(tcti, a), await this.#value(tcti, b), await this.#value(tcti, c)]
  }

  async #value(tcti: string | null, index: number): Promise<bigint | null> {
    try {
      return await this.#counters.read(tcti, index)
    } catch (error) {
      if (error instanceof AppError && error.code === "TPM_HANDLE_EMPTY") return null
      throw error
    }
  }

  async #removeIfThere(tcti: string | null, index: number): Promise<void> {
    try {
      await this.#counters.remove(tcti, index)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "TPM_HANDLE_EMPTY") throw error
    }
  }
}

function checkSteps(steps: bigint): void {
  if (steps > MAX_STEPS)
    throw new AppError("FLOOR_TOO_FAR", `a counter would have to rise by ${steps} at once`)
}

function distance(value: bigint, zero: bigint): number {
  const count = Number(value - zero)
  if (Number.isSafeInteger(count) && count >= 0) return count
  throw new AppError("FLOOR_LOST", "the TPM's counters are not those of this device")
}
