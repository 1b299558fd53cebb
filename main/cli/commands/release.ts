import { AppError } from "../../contract/errors.ts"
import type { Published, Release } from "../../contract/schema/release.ts"
import type { Register } from "../main.ts"
import { bytesText, durationText, safeText, shortDigest, table } from "../text.ts"

export const registerRelease: Register = (program, run) => {
  const release = program.command("release").description("what goes out, with whose approval, to which ring")
  release
    .command("create")
    .argument("<name>", "what to call the release")
    .argument("<packages...>", ".seal files made by protect")
    .option("--hardware <id...>", "kinds of device it is for (default: any)")
    .description("make a release of packages")
    .addHelpText("after", "\nExample:\n  sealwright release create line-4 model.seal --hardware jetson-orin")
    .action(
      async (name: string, packages: readonly string[], options: { readonly hardware?: string[] }, command) =>
        run(command, async (context) => {
          const files = await Promise.all(packages.map(async (file) => context.file(file)))
          const made = await context.job(async (control) =>
            context.engine.release.create(
              { name, packages: files, hardwareIds: options.hardware ?? [] },
              control,
            ),
          )
          context.print(made, () => releaseText(made))
        }),
    )
  release
    .command("approve")
    .argument("<name>")
    .requiredOption("--key <name>", "key of an approver in this workspace")
    .option(
      "--digest <digest>",
      "sign only if it is still the release you looked at, as `release show` prints it",
    )
    .description("show everything that changed against the previous release, and sign that it may go out")
    .addHelpText("after", "\nExample:\n  sealwright release approve line-4 --key alice")
    .action(async (name: string, options: { readonly key: string; readonly digest?: string }, command) =>
      run(command, async (context) => {
        const seen = await context.engine.release.show({ name })
        // Before the key or token is asked: whoever enters its PIN sees for what. Ctrl-C is still in time then.
        if (!context.isJson) process.stderr.write(`${releaseText(seen)}\n\n`)
        const digest = options.digest ?? seen.digest
        const approved = await context.engine.release.approve({ name, key: options.key, digest })
        context.print(approved, () => releaseText(approved))
      }),
    )
  release
    .command("attach")
    .argument("<name>")
    .argument("<bundles...>", "signed statements made elsewhere: validations, approvals")
    .description("add statements about a release or its packages")
    .addHelpText("after", "\nExample:\n  sealwright release attach line-4 out/validation.sigstore.json")
    .action(async (name: string, bundles: readonly string[], _options, command) =>
      run(command, async (context) => {
        const files = await Promise.all(bundles.map(async (file) => context.file(file)))
        const attached = await context.engine.release.attach({ name, bundles: files })
        context.print(attached, () => releaseText(attached))
      }),
    )
  for (const verb of ["publish", "promote"] as const) {
    release
      .command(verb)
      .argument("<name>")
      .requiredOption("--ring <ring>", "the ring of devices that receives it")
      .description(
        verb === "publish"
          ? "have the managers sign a release and tell the devices of a ring"
          : "send a release that is out to one more ring",
      )
      .addHelpText(
        "after",
        `\nExample:\n  sealwright release ${verb} line-4 --ring ${verb === "publish" ? "pilot" : "all"}`,
      )
      .action(async (name: string, options: { readonly ring: string }, command) =>
        run(command, async (context) => {
          const published = await context.job(async (control) =>
            context.engine.release[verb]({ name, ring: options.ring }, control),
          )
          context.print(published, () => publishedText(published))
        }),
      )
  }
  release
    .command("rollback")
    .requiredOption("--ring <ring>")
    .requiredOption("--to <name>", "the release to go back to")
    .description("send an older release again under a new counter")
    .addHelpText("after", "\nExample:\n  sealwright release rollback --ring pilot --to line-3")
    .action(async (options: { readonly ring: string; readonly to: string }, command) =>
      run(command, async (context) => {
        const published = await context.job(async (control) =>
          context.engine.release.rollback(options, control),
        )
        context.print(published, () => publishedText(published))
      }),
    )
  release
    .command("revoke")
    .argument("<what>", "package, device or key")
    .argument("<name>", "digest of a package, name of a device, key id or person")
    .description("take something back: no device accepts it any more")
    .addHelpText("after", "\nExample:\n  sealwright release revoke device press-07")
    .action(async (what: string, name: string, _options, command) =>
      run(command, async (context) => {
        const revoked = await context.engine.release.revoke(revokeOf(what, name))
        context.print(revoked, () =>
          revoked.pending === null
            ? `revoked ${revoked.what}`
            : `${revoked.what} waits for signatures: sealwright trust show`,
        )
      }),
    )
  release
    .command("list")
    .description("all releases, with the state that follows from what is signed")
    .addHelpText("after", "\nExample:\n  sealwright release list")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const found = await context.engine.release.list()
        context.print(found, () =>
          found.length === 0
            ? "no releases yet: sealwright release create NAME PACKAGE"
            : table([
                ["NAME", "STATE", "COUNTER", "RINGS", "DEVICES"],
                ...found.map((each) => [
                  each.name,
                  each.state,
                  String(each.counter ?? "–"),
                  each.rings.join(", ") || "–",
                  String(each.devices.length),
                ]),
              ]),
        )
      }),
    )
  release
    .command("show")
    .argument("<name>")
    .description("one release: gates, and what changed against the previous one")
    .addHelpText("after", "\nExample:\n  sealwright release show line-4")
    .action(async (name: string, _options, command) =>
      run(command, async (context) => {
        const found = await context.engine.release.show({ name })
        context.print(found, () => releaseText(found))
      }),
    )
}

function revokeOf(what: string, name: string) {
  if (what === "package") return { kind: "package", digest: name } as const
  if (what === "device") return { kind: "device", name } as const
  if (what === "key") return { kind: "key", key: name } as const
  throw new AppError("USAGE", "revoke takes package, device or key")
}

function releaseText(release: Release): string {
  return [
    `${release.name}: ${release.state}, ${release.packages.length} package(s), ${bytesText(release.payloadBytes)}, for ${release.devices.length} device(s)`,
    `  ${release.digest}${release.counter === null ? "" : `, counter ${release.counter}`}`,
    ...release.gates.map(
      ({ gate, isOpen, detail }) => `  ${isOpen ? "open  " : "CLOSED"} ${gate}: ${safeText(detail)}`,
    ),
    release.previous === null ? "  the first release" : `  against ${release.previous}:`,
    ...release.changes.map(
      ({ what, before, after }) => `    ${what}: ${shortText(before) || "–"} → ${shortText(after) || "–"}`,
    ),
  ].join("\n")
}

function shortText(text: string): string {
  const safe = safeText(text.split(", ").map(shortDigest).join(", "))
  return safe.length > 160 ? `${safe.slice(0, 160)}…` : safe
}

function publishedText(published: Published): string {
  return [
    `${published.release} (counter ${published.counter}) is out to ${published.devices} device(s) of ${published.ring} in ${durationText(published.seconds)}`,
    `  holds until ${published.expires}: the longest the devices can stay without news`,
  ].join("\n")
}
