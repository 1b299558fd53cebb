import type { Progress } from "../contract/schema/base.ts"
import { bytesText, durationText } from "./text.ts"

const BAR_COLUMNS = 24

/** One line on a terminal that is rewritten; on anything else a line when a step begins, so that logs stay readable. */
export class ProgressBar {
  readonly #stream: NodeJS.WriteStream
  #step = ""
  #isShown = false

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
  }

  show(progress: Progress): void {
    if (!this.#stream.isTTY) {
      if (progress.step !== this.#step) this.#stream.write(`${progress.step}…\n`)
      this.#step = progress.step
      return
    }
    const share = progress.total === 0 ? 1 : Math.min(1, progress.done / progress.total)
    const filled = Math.round(share * BAR_COLUMNS)
    const bar = "█".repeat(filled) + "░".repeat(BAR_COLUMNS - filled)
    const rate =
      progress.unit === "bytes" ? `${bytesText(progress.rate)}/s` : `${progress.rate.toFixed(0)} rows/s`
    const eta = progress.etaSeconds === null ? "" : `, ${durationText(progress.etaSeconds)} left`
    const line = `${progress.step}  ${bar} ${Math.floor(share * 100)} %  ${rate}${eta}`
    this.#stream.write(`\r\u001b[2K${line.slice(0, Math.max(20, this.#stream.columns - 1))}`)
    this.#isShown = true
  }

  clear(): void {
    if (this.#isShown) this.#stream.write("\r\u001b[2K")
    this.#isShown = false
  }
}
