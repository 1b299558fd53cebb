import type { QueuedPush } from "../../contract/schema/registry.ts"
import type { Register } from "../main.ts"
import { checkReference, parsePlace, type PlaceOptions } from "../place.ts"
import { bytesText, durationText, safeText, shortDigest } from "../text.ts"

interface Options extends PlaceOptions {
  readonly queue?: boolean
}

export const registerPush: Register = (program, run) => {
  program
    .command("push")
    .argument("<package>", ".seal file")
    .argument("<reference>", "HOST[:PORT]/NAME:TAG, or oci:FOLDER:TAG for a folder")
    .option("--plain-http", "reach the registry without TLS")
    .option("--ca <file>", "certificates (PEM) of an authority to trust besides the usual ones")
    .option("--queue", "only note it: `sealwright sync` pushes it")
    .description("store a package in a registry or in an OCI layout folder")
    .addHelpText("after", "\nExample:\n  sealwright push model.seal registry.example/press/model:1.0")
    .action(async (file: string, reference: string, options: Options, command) =>
      run(command, async (context) => {
        const { place, reference: tag } = await parsePlace(context, reference, options)
        const request = { file: await context.file(file), to: place, tag: checkReference(tag, reference) }
        if (options.queue === true) {
          const queued = await context.engine.registry.queue.add(request)
          context.print(queued, () => queuedText(queued))
          return
        }
        const pushed = await context.job(async (control) => context.engine.registry.push(request, control))
        context.print(pushed, () =>
          [
            `pushed ${safeText(pushed.name)} to ${pushed.repository}:${pushed.tag} in ${durationText(pushed.seconds)}`,
            `  ${pushed.digest}`,
            `  ${bytesText(pushed.bytes)}, of which ${bytesText(pushed.sentBytes)} were not there before`,
            ...pushed.grants.map(({ tag: grant, digest }) => `  grant ${grant} ${shortDigest(digest)}`),
          ].join("\n"),
        )
      }),
    )
}

export function queuedText({ id, name, repository, tag, state, attempts, lastFailure }: QueuedPush): string {
  const why = lastFailure === null ? "" : `, ${attempts} failed, last ${lastFailure}`
  return `${id}  ${safeText(name)} → ${repository}:${tag}  ${state}${why}`
}
