import { existsSync } from "node:fs"
import path from "node:path"
import { describe, expect, it } from "vitest"
import type { Key } from "../../main/contract/schema/keys.ts"
import type { Protected } from "../../main/contract/schema/protect.ts"
import { atTerminal as typeAt } from "../support/terminal.ts"
import { cliJson, cliRefusal, MODELS, ROOT, temporaryFolder } from "../support/workspace.ts"

const MODEL = path.join(MODELS, "wine-linear.onnx")

describe("a key under a passphrase on the command line", () => {
  it("is made and used with the passphrase from a file descriptor, and refused with a wrong one", async () => {
    const workspace = temporaryFolder()
    const at = ["--workspace", workspace, "--passphrase-fd", "3"]
    const descriptors = ["correct horse\n"]
    const key = await cliJson<Key>(["keys", "create", "release-1", "--passphrase", ...at], { descriptors })
    expect(key.unlock).toBe("passphrase")
    await cliJson(["device", "add", "press-07", "--software", "--workspace", workspace])
    const output = path.join(workspace, "model.seal")
    const sealed = await cliJson<Protected>(
      ["protect", MODEL, "--no-mark", "--device", "press-07", "-o", output, ...at],
      {
        descriptors,
      },
    )
    expect(sealed.signedBy.key).toBe("release-1")

    const refused = path.join(workspace, "refused.seal")
    const refusal = await cliRefusal(
      ["protect", MODEL, "--no-mark", "--device", "press-07", "-o", refused, ...at],
      {
        descriptors: ["wrong horse\n"],
      },
    )
    expect(refusal).toMatchObject({ code: "PASSPHRASE_WRONG", status: 6 })
    expect(existsSync(refused)).toBe(false)
  })

  it.each([
    { name: "no descriptor is given", args: [], code: "PROMPT_UNAVAILABLE" },
    { name: "the descriptor is not open", args: ["--passphrase-fd", "63"], code: "PROMPT_UNAVAILABLE" },
    { name: "the descriptor is no number", args: ["--passphrase-fd", "three"], code: "USAGE" },
  ])("is refused with --json when $name", async ({ args, code }) => {
    const refusal = await cliRefusal([
      ...["keys", "create", "release-1", "--passphrase"],
      ...["--workspace", temporaryFolder(), ...args],
    ])
    expect(refusal.code).toBe(code)
  })

  it("is asked for at a terminal without showing what is typed", async () => {
    const workspace = temporaryFolder()
    const { status, screen } = await atTerminal(
      ["keys", "create", "release-1", "--passphrase", "--workspace", workspace],
      ["new passphrase", "the same again"],
      ["swordfiss\u007fh\r", "swordfish\r"],
    )
    expect(screen).not.toContain("swordfis")
    expect(status).toBe(0)
    const used = await cliJson<Key[]>(["keys", "list", "--workspace", workspace])
    expect(used).toMatchObject([{ name: "release-1", unlock: "passphrase" }])
  })

  it("is not made at a terminal when the two answers differ", async () => {
    const { status, screen } = await atTerminal(
      ["keys", "create", "release-1", "--passphrase", "--workspace", temporaryFolder()],
      ["new passphrase", "the same again"],
      ["swordfish\r", "swordfisch\r"],
    )
    expect(screen).toContain("[PROMPT_MISMATCH]")
    expect(status).toBe(2)
  })

  it("is not made when Ctrl-C answers the question", async () => {
    const { status, screen } = await atTerminal(
      ["keys", "create", "release-1", "--passphrase", "--workspace", temporaryFolder()],
      ["new passphrase"],
      ["\u0003"],
    )
    expect(screen).toContain("[CANCELLED]")
    expect(status).toBe(130)
  })
})

/** Runs the command at a terminal and types each answer once its question is on the screen. */
async function atTerminal(args: readonly string[], questions: readonly string[], answers: readonly string[]) {
  return typeAt([process.execPath, path.join(ROOT, "main", "cli", "bin.mjs"), ...args], questions, answers)
}
