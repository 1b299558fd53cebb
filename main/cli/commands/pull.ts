import type { Register } from "../main.ts"
import { checkReference, parsePlace, type PlaceOptions } from "../place.ts"
import { bytesText, durationText, safeText } from "../text.ts"

interface Options extends PlaceOptions {
  readonly output: string
  readonly force?: boolean
  readonly grants: string
  readonly trust: boolean
}

export const registerPull: Register = (program, run) => {
  program
    .command("pull")
    .argument("<reference>", "HOST[:PORT]/NAME:TAG or …@sha256:…, or oci:FOLDER:TAG for a folder")
    .requiredOption("-o, --output <file>", "the .seal file to write")
    .option("--force", "replace the output if it exists")
    .option("--grants <which>", "all, none, or the tags of the grants to bring along, as TAG,TAG", "all")
    .option("--no-trust", "leave trust metadata in the registry")
    .option("--plain-http", "reach the registry without TLS")
    .option("--ca <file>", "certificates (PEM) of an authority to trust besides the usual ones")
    .description("fetch a package from a registry or from an OCI layout folder")
    .addHelpText("after", "\nExample:\n  sealwright pull registry.example/press/model:1.0 -o model.seal")
    .action(async (text: string, options: Options, command) =>
      run(command, async (context) => {
        const { place, reference } = await parsePlace(context, text, options)
        const pulled = await context.job(async (control) =>
          context.engine.registry.pull(
            {
              from: place,
              reference: checkReference(reference, text),
              grants: parseGrants(options.grants),
              trust: options.trust ? "all" : "none",
              output: { file: await context.file(options.output), replace: options.force === true },
            },
            control,
          ),
        )
        context.print(pulled, () =>
          [
            `pulled ${safeText(pulled.name)} from ${pulled.repository} in ${durationText(pulled.seconds)}`,
            `  ${pulled.digest}`,
            `  ${bytesText(pulled.bytes)}: ${pulled.packages} packages, ${pulled.grants} grants, ${pulled.bundles} signatures; \`sealwright verify\` judges them`,
          ].join("\n"),
        )
      }),
    )
}

function parseGrants(text: string) {
  if (text === "all") return { kind: "all" } as const
  const tags = text === "none" ? [] : text.split(",").filter((tag) => tag !== "")
  return { kind: "tags", tags } as const
}
