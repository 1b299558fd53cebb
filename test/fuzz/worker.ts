/** One process of a campaign: argv is seed, first, step, end, and the file that always holds the number of the case at hand. */
import { closeSync, openSync, writeSync } from "node:fs"
import { runSlice, type Tally } from "./campaign.ts"

/** A beat carries what was found so far: all that is left when the process is lost. */
export type WorkerMessage =
  { readonly kind: "beat"; readonly tally: Tally } | { readonly kind: "done"; readonly tally: Tally }

const [seed = 0, first = 0, step = 1, end = 0] = process.argv.slice(2, 6).map(Number)
const position = openSync(process.argv[6] ?? "", "w")
const mark = Buffer.alloc(8)
const BEAT_MS = 1000
let beatAt = 0

const tally = await runSlice({ seed, first, step, end }, (index, soFar) => {
  // A crash of native code leaves no other trace of what caused it.
  mark.writeDoubleLE(index)
  writeSync(position, mark, 0, mark.length, 0)
  const now = performance.now()
  if (now - beatAt < BEAT_MS) return
  beatAt = now
  send({ kind: "beat", tally: soFar })
})
closeSync(position)
send({ kind: "done", tally })
process.disconnect()

function send(message: WorkerMessage): void {
  process.send?.(message)
}
