/**
 * The part of the native addon that shuts a sealed runtime in (native/src/lockdown.cc), and the figures of the preloaded
 * heap (native/src/secret_heap.c). Only a process that the launcher started uses it.
 */
import { addon } from "./addon.ts"

export interface LockdownStep {
  /** A name of the table in main/core/policy/levels.ts. */
  readonly step: string
  readonly isHeld: boolean
  readonly detail: string
}

/** Sizes in bytes. All zero and false where no heap was preloaded. */
export interface HeapStatistics {
  readonly isArmed: boolean
  readonly isSecret: boolean
  readonly mapped: number
  /** High-water mark of what was ever handed out: pages the kernel had to find. */
  readonly used: number
  readonly live: number
  readonly peak: number
  readonly unlocked: number
  /** Times the kernel gave no more memory. */
  readonly refused: number
}

interface LockdownAddon {
  readonly lockDown: () => readonly (readonly [string, boolean, string])[]
  readonly heapStatistics: () => readonly number[]
  readonly wipeStack: () => void
}

export interface NativeLockdown {
  /** Applies what has to wait until Node runs, tries what is then forbidden, and says how that went. Once a process. */
  readonly lockDown: () => readonly LockdownStep[]
  readonly heapStatistics: () => HeapStatistics
  /** Zeroes what finished calls left on the stack of this thread. */
  readonly wipeStack: () => void
}

/** `null` where the addon is not built or the platform has no such measures. */
export function nativeLockdown(): NativeLockdown | null {
  const loaded = addon()
  if (loaded.kind !== "loaded" || process.platform !== "linux") return null
  // The addon is compiled from native/src/lockdown.cc, whose exports are exactly these on Linux.
  const raw = loaded.exports as LockdownAddon
  return {
    lockDown: () => raw.lockDown().map(([step, isHeld, detail]) => ({ step, isHeld, detail })),
    heapStatistics: () => {
      const [isArmed = 0, isSecret = 0, mapped = 0, used = 0, live = 0, peak = 0, unlocked = 0, refused = 0] =
        raw.heapStatistics()
      return { isArmed: isArmed === 1, isSecret: isSecret === 1, mapped, used, live, peak, unlocked, refused }
    },
    wipeStack: raw.wipeStack,
  }
}
