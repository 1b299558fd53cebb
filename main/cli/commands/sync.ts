import type { Register } from "../main.ts"
import { queuedText } from "./push.ts"

interface Options {
  readonly watch?: boolean
  readonly list?: boolean
  readonly remove?: string
}

export const registerSync: Register = (program, run) => {
  program
    .command("sync")
    .option(
      "--watch",
      "go on until interrupted: pushes what is queued as soon as its registry can be reached",
    )
    .option("--list", "show what is queued")
    .option("--remove <id>", "take a push out of the queue")
    .description("push what `push --queue` has noted")
    .addHelpText("after", "\nExample:\n  sealwright sync --watch")
    .action(async (options: Options, command) =>
      run(command, async (context) => {
        const { queue } = context.engine.registry
        if (options.remove !== undefined) {
          const removed = await queue.remove({ id: options.remove })
          context.print(removed, () => `removed ${queuedText(removed)}`)
          return 0
        }
        if (options.list === true) {
          const queued = await queue.list()
          context.print(queued, () =>
            queued.length === 0 ? "nothing waits" : queued.map(queuedText).join("\n"),
          )
          return 0
        }
        const synced = await context.job(async (control) =>
          context.engine.registry.sync({ watch: options.watch === true }, control),
        )
        context.print(synced, () =>
          [
            ...synced.pushed.map(({ name, repository, tag }) => `pushed ${name} to ${repository}:${tag}`),
            ...synced.left.map(queuedText),
            ...(synced.pushed.length + synced.left.length === 0 ? ["nothing waits"] : []),
          ].join("\n"),
        )
        return synced.left.length === 0 ? 0 : EXIT_LEFT
      }),
    )
}

/** Something could not be pushed: the same as an unreachable registry. */
const EXIT_LEFT = 9
