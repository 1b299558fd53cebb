/** Files the user opened outside the window: by their association, on the command line, from a second start, in the menu. */
import { statSync } from "node:fs"
import { stat } from "node:fs/promises"
import path from "node:path"
import { app } from "electron"
import type { OpenedFile } from "../contract/desktop.ts"
import type { EngineSupervisor } from "../platform/engine-supervisor.ts"

/** What a file of ours ends in; anything else on a command line is not for us. */
const ENDINGS = new Set([".seal", ".onnx", ".ort"])
const MAX_FILES = 64

export class OpenedFiles {
  #waiting: string[] = []
  #onAdded: () => void = () => {}

  /** Listens from the start: macOS names files before the program is ready. */
  constructor() {
    app.on("open-file", (event, file) => {
      event.preventDefault()
      this.add([file])
    })
    app.on("second-instance", (_event, argv, folder) => this.add(filesNamed(argv.slice(1), folder)))
    this.add(filesNamed(process.argv.slice(app.isPackaged ? 1 : 2), process.cwd()))
  }

  /** Called whenever there is something to take, and from now on. */
  onAdded(listener: () => void): void {
    this.#onAdded = listener
  }

  add(files: readonly string[]): void {
    this.#waiting = [...this.#waiting, ...files].slice(-MAX_FILES)
    this.#onAdded()
  }

  /** What came since the last time, as references of the engine; waits for one that runs. */
  async take(supervisor: EngineSupervisor): Promise<readonly OpenedFile[]> {
    if (this.#waiting.length === 0) return []
    await supervisor.whenRunning()
    const files = this.#waiting.splice(0)
    return Promise.all(
      files.map(async (file) => ({
        file: await supervisor.refer(file),
        name: path.basename(file),
        bytes: await stat(file).then(
          ({ size }) => size,
          () => 0,
        ),
      })),
    )
  }
}

/** Regular files of ours among arguments. Switches, links of other programs and everything else are passed over. */
export function filesNamed(args: readonly string[], folder: string): readonly string[] {
  return args
    .filter((argument) => !argument.startsWith("-") && !/^[a-z][a-z\d+.-]+:/i.test(argument))
    .map((argument) => path.resolve(folder, argument))
    .filter((file) => ENDINGS.has(path.extname(file).toLowerCase()) && isFile(file))
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true
}
