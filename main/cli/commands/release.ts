import type { Command } from "commander"
import { AppError } from "../../contract/errors.ts"
import type { Published } from "../../contract/schema/release.ts"
import type { Register } from "../main.ts"
import { durationText, safeText, table } from "../text.ts"
import { releaseText } from "../release-text.ts"

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
  registerApprovals(release, run)
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
          context.engine.release.rollback({ ring: options.ring, to: options.to }, control),
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

/** For approvers who share no workspace with the desk. */
function registerApprovals(release: Command, run: Parameters<Register>[1]): void {
  release
    .command("request")
    .argument("<name>")
    .requiredOption("-o, --output <file>", "the request file to write")
    .option("--force", "replace the output if it exists")
    .description("write what changed as a file, for an approver in another place")
    .addHelpText("after", "\nExample:\n  sealwright release request line-4 -o line-4.request.json")
    .action(async (name: string, options: OutputOptions, command) =>
      run(command, async (context) => {
        const output = { file: await context.file(options.output), replace: options.force === true }
        const asked = await context.engine.release.requestApproval({ name, output })
        context.print(asked, () => releaseText(asked))
      }),
    )
  release
    .command("look")
    .argument("<request>", "request file")
    .description("show the release a request asks to approve, without signing it")
    .addHelpText("after", "\nExample:\n  sealwright release look line-4.request.json")
    .action(async (request: string, _options, command) =>
      run(command, async (context) => {
        const asked = await context.engine.release.lookAtApproval({ request: await context.file(request) })
        context.print(asked, () => releaseText(asked))
      }),
    )
  release
    .command("sign")
    .argument("<request>", "request file")
    .requiredOption("--key <name>", "key of this workspace that approves")
    .requiredOption("-o, --output <file>", "the approval to write, for `release attach` at the desk")
    .option("--force", "replace the output if it exists")
    .description("show the release a request asks to approve, and sign that it may go out")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright release sign line-4.request.json --key bob -o line-4.bob.json",
    )
    .action(async (request: string, options: OutputOptions & { readonly key: string }, command) =>
      run(command, async (context) => {
        const file = await context.file(request)
        const seen = await context.engine.release.lookAtApproval({ request: file })
        if (!context.isJson) process.stderr.write(`${releaseText(seen)}\n\n`)
        const signed = await context.engine.release.signApproval({
          request: file,
          key: options.key,
          digest: seen.digest,
          output: { file: await context.file(options.output), replace: options.force === true },
        })
        context.print(
          signed,
          () =>
            `${safeText(signed.release)} is approved with ${signed.key}: take ${options.output} back to the desk`,
        )
      }),
    )
}

interface OutputOptions {
  readonly output: string
  readonly force?: boolean
}

function revokeOf(what: string, name: string) {
  if (what === "package") {
    if (!/^sha256:[0-9a-f]{64}$/.test(name))
      throw new AppError("USAGE", "a package is named by its digest, as `release show` prints it: sha256:…")
    return { kind: "package", digest: name } as const
  }
  if (what === "device") return { kind: "device", name } as const
  if (what === "key") return { kind: "key", key: name } as const
  throw new AppError("USAGE", "revoke takes package, device or key")
}

function publishedText(published: Published): string {
  return [
    `${published.release} (counter ${published.counter}) is out to ${published.devices} device(s) of ${published.ring} in ${durationText(published.seconds)}`,
    `  holds until ${published.expires}: the longest the devices can stay without news`,
  ].join("\n")
}
