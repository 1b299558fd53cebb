/**
 * Long computations that let others in: a generator that yields now and then, so that whoever runs it may answer events, report
 * and stop. What is computed does not depend on where it paused.
 */
export type Work<T> = Generator<undefined, T, undefined>

/** Multiplications between two pauses: some milliseconds. */
export const STRETCH = 2 ** 20

/** Runs to the end without a pause. */
export function runThrough<T>(work: Work<T>): T {
  for (;;) {
    const { done, value } = work.next()
    if (done === true) return value
  }
}

/** Runs with `pause` awaited at every pause; what it throws ends the work. */
export async function runInTurns<T>(work: Work<T>, pause: () => Promise<void>): Promise<T> {
  for (;;) {
    const { done, value } = work.next()
    if (done === true) return value
    await pause()
  }
}
