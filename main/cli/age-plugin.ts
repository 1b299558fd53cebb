/**
 * `age-plugin-sealwright`: lets the stock `age` use device keys of ours, wherever they live. age starts it with
 * `--age-plugin=identity-v1` or `--age-plugin=recipient-v1` and talks to it over standard streams; people start it with
 * `--identity NAME` to get the text that age's identity file wants.
 */
import { parseArgs } from "node:util"
import { AppError, toAppError } from "../contract/errors.ts"
import { defaultWorkspace } from "../platform/default-workspace.ts"
import { localPorts } from "../platform/ports.ts"
import { standardStreams } from "../platform/age-plugin/standard-streams.ts"
import { Conversation } from "../services/age-plugin/conversation.ts"
import { identityFile } from "../services/age-plugin/identity-file.ts"
import { unwrapFor, type OpenKeys } from "../services/age-plugin/unwrap.ts"
import { wrapFor } from "../services/age-plugin/wrap.ts"
import type { Prompter } from "../services/ports/prompter.ts"
import type { Ports } from "../services/ports.ts"

const HELP = `age-plugin-sealwright: device keys of Sealwright for age

  age-plugin-sealwright --identity NAME [--workspace DIR]   print an identity file for age -i

Example:
  age-plugin-sealwright --identity press-07 > press-07.txt
  age -d -i press-07.txt grant.age
`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      "age-plugin": { type: "string" },
      identity: { type: "string" },
      workspace: { type: "string" },
      help: { type: "boolean", default: false },
    },
  })
  const machine = values["age-plugin"]
  if (machine !== undefined) await converse(machine)
  else if (values.identity !== undefined) await printIdentity(values.identity, values.workspace ?? null)
  else if (values.help) process.stdout.write(HELP)
  else throw new AppError("USAGE", "age starts this program; people give --identity NAME")
}

async function converse(machine: string): Promise<void> {
  const conversation = new Conversation(standardStreams())
  // What unlocks a key is asked for through age, whose terminal it is.
  const prompter: Prompter = {
    async ask({ subject, notice }) {
      const text =
        notice === null ? `Enter what unlocks ${subject}` : `Enter what unlocks ${subject} (${notice})`
      const answer = await conversation.askSecret(text)
      if (answer === null || answer.length === 0)
        throw new AppError("PROMPT_UNAVAILABLE", `nobody could be asked for what unlocks ${subject}`)
      return answer
    },
  }
  const workspaces = new Workspaces(prompter)
  const openKeys: OpenKeys = (workspace) => workspaces.open(workspace).keys
  try {
    if (machine === "identity-v1") await unwrapFor(conversation, openKeys, async () => workspaces.close())
    else if (machine === "recipient-v1") await wrapFor(conversation, openKeys, workspaces.open(null).random)
    else throw new AppError("USAGE", `there is no state machine ${machine.slice(0, 40)} here`)
  } finally {
    await workspaces.close()
  }
}

async function printIdentity(name: string, workspace: string | null): Promise<void> {
  const workspaces = new Workspaces()
  try {
    process.stdout.write(await identityFile(workspaces.open(workspace).keys, name, workspace))
  } finally {
    await workspaces.close()
  }
}

/** Ports of every workspace an identity names, opened once. */
class Workspaces {
  readonly #open = new Map<string, { readonly ports: Ports; readonly close: () => Promise<void> }>()
  readonly #prompter: Prompter | undefined

  constructor(prompter?: Prompter) {
    this.#prompter = prompter
  }

  open(workspace: string | null): Ports {
    const folder = workspace ?? defaultWorkspace()
    const opened =
      this.#open.get(folder) ??
      localPorts(folder, this.#prompter === undefined ? {} : { prompter: this.#prompter })
    this.#open.set(folder, opened)
    return opened.ports
  }

  async close(): Promise<void> {
    const opened = [...this.#open.values()]
    this.#open.clear()
    await Promise.all(opened.map(async ({ close }) => close()))
  }
}

// Last, since classes above must exist before they are used.
try {
  await main()
} catch (error) {
  const { message, hint, exitCode } = toAppError(error)
  process.stderr.write(`age-plugin-sealwright: ${message}\n${hint}\n`)
  process.exitCode = exitCode
}
