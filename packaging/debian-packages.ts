/**
 * Makes sure Debian packages are installed: `node packaging/debian-packages.ts age skopeo openssl`. Installs what is missing
 * when it may (root, or sudo without a password) and otherwise fails with the exact command. It never skips silently.
 */
import { spawnSync } from "node:child_process"

const wanted = process.argv.slice(2)
const missing = wanted.filter((name) => !isInstalled(name))
if (missing.length > 0) install(missing)

function install(names: readonly string[]): void {
  const elevate = process.getuid?.() === 0 ? [] : ["sudo", "-n"]
  const command = `apt-get install -y --no-install-recommends ${names.join(" ")}`
  if (!isCommand("apt-get") || (elevate.length > 0 && spawnSync("sudo", ["-n", "true"]).status !== 0)) {
    console.error(`These packages are missing and cannot be installed from here: ${names.join(", ")}`)
    console.error(`Install them, then run this again:  sudo ${command}`)
    process.exit(1)
  }
  console.log(`Installing Debian packages: ${names.join(" ")}`)
  const apt = [
    ...elevate,
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "apt-get",
    "-q",
    "-o",
    "DPkg::Lock::Timeout=900",
  ]
  run([...apt, "update"])
  run([...apt, "install", "-y", "--no-install-recommends", ...names])
  const still = names.filter((name) => !isInstalled(name))
  if (still.length > 0) fail(`still missing after installing: ${still.join(", ")}`)
}

function isInstalled(name: string): boolean {
  const query = spawnSync("dpkg-query", ["-W", "-f", "${db:Status-Status}", name], { encoding: "utf8" })
  return query.status === 0 && query.stdout === "installed"
}

function isCommand(name: string): boolean {
  return spawnSync(name, ["--version"], { stdio: "ignore" }).error === undefined
}

function run([command = "", ...args]: readonly string[]): void {
  const result = spawnSync(command, args, { stdio: ["ignore", "ignore", "inherit"] })
  if (result.status !== 0) fail(`${[command, ...args].join(" ")} failed`)
}

function fail(reason: string): never {
  console.error(reason)
  process.exit(1)
}
