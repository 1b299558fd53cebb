/** What we tell people to type exists: commands and options in hints, in help and in the README. */
import { Command } from "commander"
import { readFileSync } from "node:fs"
import path from "node:path"
import { expect, test } from "vitest"
import { AppError, errorCodes } from "../../main/contract/errors.ts"
import { COMMANDS } from "../../main/cli/command-list.ts"
import { ROOT } from "../support/workspace.ts"

/** Every command takes them. */
const GLOBAL = new Set(["--help", "--json", "--workspace", "--passphrase-fd", "--pin-fd"])

const program = new Command("sealwright")
for (const register of COMMANDS) register(program, async () => {})

/** What is wrong with a line; `null` for one that could be typed. */
function faultOf(line: string): string | null {
  const words = line.split(/\s+/).slice(1)
  let command: Command = program
  for (const word of words) {
    const child = command.commands.find((each) => each.name() === word)
    if (child === undefined) break
    command = child
  }
  if (command === program && !GLOBAL.has(words[0] ?? "")) return "no such command"
  if (command.commands.length > 0 && !words.includes("--help")) return `${command.name()} wants a command`
  const known = new Set([...GLOBAL, ...command.options.flatMap(({ long, short }) => [long, short])])
  const option = words.find((word) => /^--?[a-z]/.test(word) && !known.has(word.replace(/=.*/, "")))
  return option === undefined ? null : `no option ${option}`
}

const faults = (lines: readonly string[]) =>
  lines.flatMap((line) => {
    const fault = faultOf(line)
    return fault === null ? [] : [`${line}: ${fault}`]
  })

const quoted = (text: string) => [...text.matchAll(/`(sealwright [^`]+)`/g)].map(([, line = ""]) => line)

test("the checker itself sees a command and an option that are not there", () => {
  expect(faults(["sealwright fleet ring list --all"])).toHaveLength(1)
  expect(faults(["sealwright ring", "sealwright fleet", "sealwright fleet rings"])).toHaveLength(2)
})

test("hints name commands that exist", () => {
  const lines = errorCodes.flatMap((code) => quoted(new AppError(code, "").hint))
  expect(lines.length).toBeGreaterThan(20)
  expect(faults(lines)).toEqual([])
})

test("every command has an example, and it could be typed", () => {
  const lines: string[] = []
  const look = (command: Command): void => {
    for (const child of command.commands) look(child)
    if (command.commands.length > 0) return
    let help = ""
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
    const examples = help.split("\n").filter((line) => line.startsWith("  sealwright "))
    expect(examples, command.name()).not.toEqual([])
    lines.push(...examples.map((line) => line.trim()), ...quoted(help.replaceAll(/\s+/g, " ")))
  }
  look(program)
  expect(faults(lines)).toEqual([])
})

test("the README names commands that exist", () => {
  const text = readFileSync(path.join(ROOT, "README.md"), "utf8")
  const lines = [
    ...text.matchAll(/^(?:npx )?(sealwright [^#\n]+)/gm),
    ...text.matchAll(/&& npx (sealwright [^#\n]+)/g),
  ].map(([, line = ""]) => line.split(" && ")[0]?.trim() ?? "")
  expect(lines.length).toBeGreaterThan(25)
  expect(faults(lines)).toEqual([])
})
