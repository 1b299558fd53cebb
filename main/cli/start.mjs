// Starts a program of ours on the Node the product is built for. Plain JavaScript that any Node can run: a machine's own may be old.
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import module from "node:module"
import path from "node:path"
import { fileURLToPath } from "node:url"

/** `self`: the launcher's own import.meta.url; `load` imports the program, once this Node can. */
export async function start(self, load) {
  const root = path.resolve(path.dirname(fileURLToPath(self)), "..", "..")
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  const isSupported = (major === 24 && minor >= 15) || major >= 26
  if (!isSupported) return restart(self, root)
  // Compiled code of a checkout, kept beside its packages so that nobody else can write it. An installed product writes nothing
  // where it lies.
  if (existsSync(path.join(root, "main", "cli", "main.ts"))) {
    const cache = path.join(root, "node_modules", ".cache", "sealwright", "code")
    process.env.NODE_COMPILE_CACHE = cache
    module.enableCompileCache(cache)
  }
  await load()
}

/** The same again on the Node that npm installed with the product. */
function restart(self, root) {
  const bundled = path.join(
    root,
    "node_modules",
    `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`,
    "bin",
    process.platform === "win32" ? "node.exe" : "node",
  )
  if (!existsSync(bundled)) {
    process.stderr.write(`sealwright needs Node 24.15 or newer; this is ${process.versions.node}\n`)
    process.exit(9)
  }
  const child = spawn(bundled, [fileURLToPath(self), ...process.argv.slice(2)], {
    stdio: descriptors(process.argv),
  })
  // Whoever signals this process means the child, which decides how to end. A terminal's Ctrl-C reaches it twice, which is harmless.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal))
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

/** The standard three, and whatever the arguments name as holding passphrases or PINs. */
function descriptors(args) {
  const named = args.flatMap((argument, index) => {
    const match = /^--(?:passphrase|pin)-fd(?:=(\d+))?$/.exec(argument)
    return match === null ? [] : [Number(match[1] ?? args[index + 1])]
  })
  const inherited = named.filter((descriptor) => descriptor > 2 && descriptor < 256)
  return Array.from({ length: Math.max(2, ...inherited) + 1 }, (_, descriptor) =>
    descriptor < 3 || inherited.includes(descriptor) ? descriptor : "ignore",
  )
}
