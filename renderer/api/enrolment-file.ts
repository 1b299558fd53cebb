import type { SentFile } from "./files.ts"
import { Store } from "./store.ts"

/** A file of an enrolment that was dropped and not looked at yet. */
export const enrolmentFile = new Store<SentFile | null>(null)
