import type { Register } from "../main.ts"
import { parseHost, parsePlace, type PlaceOptions } from "../place.ts"
import { table } from "../text.ts"

export const registerRegistry: Register = (program, run) => {
  const registry = program.command("registry").description("log in to registries and look into them")
  registry
    .command("login")
    .argument("<host>", "HOST[:PORT]")
    .requiredOption(
      "--username <name>",
      "account at the registry; its password is asked for, or read with --passphrase-fd",
    )
    .option("--plain-http", "reach the registry without TLS")
    .option("--ca <file>", "certificates (PEM) of an authority to trust besides the usual ones")
    .description("check a login and keep it where docker and skopeo keep theirs")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright registry login registry.example --username press --passphrase-fd 0 < password.txt",
    )
    .action(async (host: string, options: PlaceOptions & { readonly username: string }, command) =>
      run(command, async (context) => {
        const { username } = options
        const result = await context.engine.registry.login({
          ...(await parseHost(context, host, options)),
          username,
        })
        context.print(
          result,
          () =>
            `logged in to ${host} as ${username}, kept by ${result.keptBy === "file" ? "a file only you can read, not encrypted" : "the credential helper"}`,
        )
      }),
    )
  registry
    .command("logout")
    .argument("<host>", "HOST[:PORT]")
    .description("forget a login")
    .addHelpText("after", "\nExample:\n  sealwright registry logout registry.example")
    .action(async (host: string, _options, command) =>
      run(command, async (context) => {
        const result = await context.engine.registry.logout({ host })
        context.print(result, () =>
          result.wasLoggedIn ? `logged out of ${host}` : `there was no login for ${host}`,
        )
      }),
    )
  registry
    .command("check")
    .argument("<host>", "HOST[:PORT]")
    .option("--plain-http", "reach the registry without TLS")
    .option("--ca <file>", "certificates (PEM) of an authority to trust besides the usual ones")
    .description("see whether a registry answers and lets us in")
    .addHelpText("after", "\nExample:\n  sealwright registry check registry.example")
    .action(async (host: string, options: PlaceOptions, command) =>
      run(command, async (context) => {
        const result = await context.engine.registry.check(await parseHost(context, host, options))
        context.print(
          result,
          () =>
            `${result.host} answers in ${result.milliseconds.toFixed(0)} ms, ${result.tls ? "with TLS" : "without TLS"}, ${result.access === "anyone" ? "open to anyone" : "let in by the stored login"}`,
        )
      }),
    )
  registry
    .command("list")
    .argument("<repository>", "HOST[:PORT]/NAME, or oci:FOLDER for a folder")
    .option("--plain-http", "reach the registry without TLS")
    .option("--ca <file>", "certificates (PEM) of an authority to trust besides the usual ones")
    .description("the tags of a repository")
    .addHelpText("after", "\nExample:\n  sealwright registry list registry.example/press/model")
    .action(async (text: string, options: PlaceOptions, command) =>
      run(command, async (context) => {
        const { place } = await parsePlace(context, text, options)
        const result = await context.engine.registry.list({ place })
        context.print(result, () =>
          result.tags.length === 0
            ? `no tags in ${result.repository}`
            : table([["TAG", "DIGEST"], ...result.tags.map(({ tag, digest }) => [tag, digest])]),
        )
      }),
    )
}
