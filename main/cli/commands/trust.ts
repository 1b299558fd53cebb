import { AppError } from "../../contract/errors.ts"
import { assuranceSchema } from "../../contract/schema/base.ts"
import {
  roleSchema,
  type InitTrust,
  type Pending,
  type RoleName,
  type RolesRequest,
  type Signer,
  type Trust,
} from "../../contract/schema/trust.ts"
import type { Context } from "../context.ts"
import type { Register } from "../main.ts"
import { safeText, table } from "../text.ts"

type RoleOptions = Readonly<Record<string, readonly string[] | string | undefined>>

export const registerTrust: Register = (program, run) => {
  const trust = program.command("trust").description("who may sign releases, and with which keys")
  const init = trust
    .command("init")
    .description("make the trust root: roles, keys, thresholds, gates")
    .option("--approvals <count>", "approvals by different people a release needs", "1")
    .option(
      "--validation <packages>",
      "packages of a release that need a passed validation: all, any, none",
      "any",
    )
    .option("--offline-days <days>", "longest time a device may stay without news", "30")
    .addHelpText("after", `${SIGNER_HELP}\nExample:\n  ${INIT_EXAMPLE}`)
    .action(async (options: RoleOptions, command) =>
      run(command, async (context) => {
        const made = await context.engine.trust.init({
          roles: await rolesFrom(context, options),
          gates: gatesFrom(options),
          offlineDays: countFrom(options, "offlineDays"),
        })
        context.print(made, () => trustText(made))
      }),
    )
  addRoleOptions(init)
  trust
    .command("show")
    .description("roles, keys, thresholds, and what waits for signatures")
    .addHelpText("after", "\nExample:\n  sealwright trust show")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const found = await context.engine.trust.show()
        context.print(found, () => trustText(found))
      }),
    )
  const rotate = trust
    .command("rotate")
    .description("replace the keys of roles, or give every document a new version and expiry")
    .option("--approvals <count>", "approvals by different people a release needs")
    .option("--validation <packages>", "packages of a release that need a passed validation: all, any, none")
    .option("--offline-days <days>", "longest time a device may stay without news")
    .addHelpText(
      "after",
      `${SIGNER_HELP}\nExample:\n  sealwright trust rotate --root alice-2 carol=carol.pem`,
    )
    .action(async (options: RoleOptions, command) =>
      run(command, async (context) => {
        const isRuled = options["approvals"] !== undefined || options["validation"] !== undefined
        const { gates } = await context.engine.trust.show()
        const changed = await context.engine.trust.change({
          kind: "rotate",
          roles: await rolesFrom(context, options),
          gates: isRuled ? gatesFrom({ ...textsOf(gates), ...defined(options) }) : null,
          offlineDays: options["offlineDays"] === undefined ? null : countFrom(options, "offlineDays"),
        })
        context.print(changed, () => trustText(changed))
      }),
    )
  addRoleOptions(rotate)
  trust
    .command("add-key")
    .argument("<role>", ROLES_TEXT)
    .argument("<signer>")
    .option("--threshold <count>", "the role's threshold from now on")
    .description("give one more key a role")
    .addHelpText("after", `${SIGNER_HELP}\nExample:\n  sealwright trust add-key approver erin=erin.pem`)
    .action(async (role: string, signer: string, options: { readonly threshold?: string }, command) =>
      run(command, async (context) => {
        const changed = await context.engine.trust.change({
          kind: "add-key",
          role: roleFrom(role),
          signer: await signerFrom(context, signer),
          threshold: thresholdFrom(options.threshold),
        })
        context.print(changed, () => trustText(changed))
      }),
    )
  trust
    .command("remove-key")
    .argument("<key>", "a key id (or its beginning) or a person")
    .option("--role <role>", "only from this role (default: from every role)")
    .option("--threshold <count>", "the role's threshold from now on")
    .description("take roles from a key")
    .addHelpText("after", "\nExample:\n  sealwright trust remove-key bob --role approver")
    .action(async (key: string, options: { readonly role?: string; readonly threshold?: string }, command) =>
      run(command, async (context) => {
        const changed = await context.engine.trust.change({
          kind: "remove-key",
          role: options.role === undefined ? null : roleFrom(options.role),
          key,
          threshold: thresholdFrom(options.threshold),
        })
        context.print(changed, () => trustText(changed))
      }),
    )
  registerCeremony(trust, run)
}

function registerCeremony(trust: Parameters<Register>[0], run: Parameters<Register>[1]): void {
  trust
    .command("request")
    .requiredOption("-o, --output <file>", "the request file to write")
    .option("--force", "replace the output if it exists")
    .description("write what waits for signatures as a file for the other signers")
    .addHelpText("after", "\nExample:\n  sealwright trust request -o root-2.request.json")
    .action(async (options: { readonly output: string; readonly force?: boolean }, command) =>
      run(command, async (context) => {
        const output = { file: await context.file(options.output), replace: options.force === true }
        const state = await context.engine.trust.request({ output })
        context.print(state, () => pendingText(state.pending))
      }),
    )
  trust
    .command("sign")
    .argument("<request>", "request file")
    .requiredOption("--key <name>", "key of this workspace that signs")
    .requiredOption("-o, --output <file>", "the answer file to write")
    .option("--force", "replace the output if it exists")
    .description("show what a request says, and sign it with a key kept here")
    .addHelpText(
      "after",
      "\nExample:\n  sealwright trust sign root-2.request.json --key bob -o bob.answer.json",
    )
    .action(
      async (
        request: string,
        options: { readonly key: string; readonly output: string; readonly force?: boolean },
        command,
      ) =>
        run(command, async (context) => {
          const file = await context.file(request)
          const asked = await context.engine.trust.look({ request: file })
          // Before the key or token is asked: whoever enters its PIN sees for what. Ctrl-C is still in time then.
          if (!context.isJson) process.stderr.write(`${pendingText(asked)}\n\n`)
          const signed = await context.engine.trust.sign({
            request: file,
            seen: asked.documents.map(({ fingerprint }) => fingerprint),
            key: options.key,
            output: { file: await context.file(options.output), replace: options.force === true },
          })
          context.print(signed, () =>
            [
              `signed with ${signed.key}: ${safeText(signed.title)}`,
              ...signed.documents.map(({ what, fingerprint }) => `  ${safeText(what)}  ${fingerprint}`),
            ].join("\n"),
          )
        }),
    )
  trust
    .command("look")
    .argument("<request>", "request file")
    .description("show what a request asks to sign, without signing it")
    .addHelpText("after", "\nExample:\n  sealwright trust look root-2.request.json")
    .action(async (request: string, _options, command) =>
      run(command, async (context) => {
        const asked = await context.engine.trust.look({ request: await context.file(request) })
        context.print(asked, () => pendingText(asked))
      }),
    )
  trust
    .command("assemble")
    .argument("<answers...>", "answer files")
    .description("add signatures that came back; enough of them put the change into force")
    .addHelpText("after", "\nExample:\n  sealwright trust assemble bob.answer.json carol.answer.json")
    .action(async (answers: readonly string[], _options, command) =>
      run(command, async (context) => {
        const files = await Promise.all(answers.map(async (file) => context.file(file)))
        const state = await context.engine.trust.assemble({ answers: files })
        context.print(state, () => trustText(state))
      }),
    )
  trust
    .command("discard")
    .description("give up what waits for signatures")
    .addHelpText("after", "\nExample:\n  sealwright trust discard")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const state = await context.engine.trust.discard()
        context.print(state, () => trustText(state))
      }),
    )
  trust
    .command("refresh")
    .description("sign snapshot and timestamp again, so that devices may go on without news")
    .addHelpText("after", "\nExample:\n  sealwright trust refresh")
    .action(async (_options, command) =>
      run(command, async (context) => {
        const state = await context.engine.trust.refresh()
        context.print(state, () => trustText(state))
      }),
    )
}

const ROLES_TEXT = roleSchema.options.join(", ")
const SIGNER_HELP = `
A signer is a key of this workspace (NAME, or PERSON=NAME) or somebody's public key (PERSON=FILE.pem, with
:hardware or :attested behind it when that is known of the key). \`sealwright keys show NAME --pem\` prints that file.`
const INIT_EXAMPLE =
  "sealwright trust init --root alice bob=bob.pem --root-threshold 2 --release-manager alice --approver bob=bob.pem --packager press --online desk --director desk"

function addRoleOptions(command: Parameters<Register>[0]): void {
  for (const role of roleSchema.options) {
    command.option(`--${role} <signer...>`, `keys of the role ${role}`)
    command.option(`--${role}-threshold <count>`, `signatures the role ${role} needs`)
    command.option(
      `--${role}-level <level>`,
      `how its keys must be kept: ${assuranceSchema.options.join(", ")}`,
    )
  }
}

async function rolesFrom(context: Context, options: RoleOptions): Promise<RolesRequest> {
  const roles: RolesRequest = {}
  for (const role of roleSchema.options) {
    const name = role.replace(/-(.)/g, (_dash, letter: string) => letter.toUpperCase())
    const signers = options[name]
    const threshold = options[`${name}Threshold`]
    const level = options[`${name}Level`]
    if (!Array.isArray(signers)) {
      if (threshold !== undefined || level !== undefined)
        throw new AppError("USAGE", `give --${role} with its threshold or level`)
      continue
    }
    roles[role] = {
      signers: await Promise.all(signers.map(async (text: string) => signerFrom(context, text))),
      threshold: thresholdFrom(typeof threshold === "string" ? threshold : undefined),
      assurance: level === undefined ? null : levelFrom(String(level)),
    }
  }
  return roles
}

async function signerFrom(context: Context, text: string): Promise<Signer> {
  const at = text.indexOf("=")
  const person = at < 0 ? null : text.slice(0, at)
  const value = text.slice(at + 1)
  const file = /^(.+\.pem)(?::(software|hardware|attested))?$/.exec(value)
  if (file?.[1] === undefined) return { kind: "own", name: value, person }
  if (person === null) throw new AppError("USAGE", `say whose key ${value} is: PERSON=${value}`)
  return {
    kind: "file",
    file: await context.file(file[1]),
    person,
    assurance: levelFrom(file[2] ?? "software"),
  }
}

function levelFrom(text: string) {
  const level = assuranceSchema.safeParse(text)
  if (level.success) return level.data
  throw new AppError("USAGE", `a level is one of ${assuranceSchema.options.join(", ")}`)
}

function roleFrom(text: string): RoleName {
  const role = roleSchema.safeParse(text)
  if (role.success) return role.data
  throw new AppError("USAGE", `a role is one of ${ROLES_TEXT}`)
}

function gatesFrom(options: RoleOptions): InitTrust["gates"] {
  const validation = options["validation"]
  if (validation !== "all" && validation !== "any" && validation !== "none")
    throw new AppError("USAGE", "--validation is all, any or none")
  return { approvals: countFrom(options, "approvals"), validation }
}

function thresholdFrom(text: string | undefined): number | null {
  return text === undefined ? null : countFrom({ threshold: text }, "threshold")
}

function countFrom(options: RoleOptions, name: string): number {
  const count = Number(options[name])
  if (!Number.isSafeInteger(count) || count < 0)
    throw new AppError("USAGE", `${name} is a whole number, not ${String(options[name]).slice(0, 40)}`)
  return count
}

function textsOf(gates: Trust["gates"]): RoleOptions {
  return gates === null ? {} : { approvals: String(gates.approvals), validation: gates.validation }
}

function defined(options: RoleOptions): RoleOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

function trustText(trust: Trust): string {
  const { roots } = trust
  if (roots === null)
    return `no trust root yet: sealwright trust init --help\n${pendingText(trust.pending)}`.trimEnd()
  return [
    `image root     version ${roots.image.version}, until ${roots.image.expires}, SHA-256 ${roots.image.sha256}`,
    `director root  version ${roots.director.version}, until ${roots.director.expires}, SHA-256 ${roots.director.sha256}`,
    "",
    table([
      ["ROLE", "NEEDS", "LEVEL", "KEYS"],
      ...trust.roles.map(({ role, threshold, assurance, keys }) => [
        role,
        keys.length === 0 ? "–" : `${threshold} of ${keys.length}`,
        assurance,
        keys.map(keyText).join(", "),
      ]),
    ]),
    "",
    `a release needs ${trust.gates?.approvals ?? 0} approval(s); validation: ${trust.gates?.validation ?? "none"}`,
    `devices may stay without news for ${trust.offlineDays ?? 0} days; what is signed now holds until ${trust.freshUntil ?? "–"}`,
    pendingText(trust.pending),
  ]
    .join("\n")
    .trimEnd()
}

function keyText({ person, keyId, assurance, here }: Trust["roles"][number]["keys"][number]): string {
  return `${safeText(person)} ${keyId.slice(0, 8)} (${assurance}${here === null ? "" : ", here"})`
}

/** Also of a request that came from anywhere. */
export function pendingText(pending: Pending | null): string {
  if (pending === null) return ""
  return [
    `waits for signatures: ${safeText(pending.title)}`,
    ...pending.documents.flatMap(({ what, fingerprint, says, needs }) => [
      `  ${safeText(what)}  ${fingerprint}`,
      ...says.map((line) => `    ${safeText(line)}`),
      ...needs.map(
        ({ why, threshold, signedBy, missing }) =>
          `    ${safeText(why)}: ${signedBy.length} of ${threshold}${missing.length > 0 ? `, not yet: ${missing.map(safeText).join(", ")}` : ""}`,
      ),
    ]),
  ].join("\n")
}
