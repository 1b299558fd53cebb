/** A pseudo-terminal (util-linux's `script`) at which answers are typed once their questions are on the screen. */
import { spawn } from "node:child_process"

export async function atTerminal(
  words: readonly string[],
  questions: readonly string[],
  answers: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ readonly status: number | null; readonly screen: string }> {
  const command = words.map((word) => `'${word}'`).join(" ")
  const child = spawn("script", ["-qefc", command, "/dev/null"], { env, stdio: ["pipe", "pipe", "inherit"] })
  let screen = ""
  let seen = 0
  let next = 0
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    screen += text
    const question = questions[next]
    const at = question === undefined ? -1 : screen.indexOf(question, seen)
    if (at < 0) return
    seen = at + 1
    child.stdin.write(answers[next] ?? "")
    next += 1
  })
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (status) => resolve({ status, screen }))
  })
}
