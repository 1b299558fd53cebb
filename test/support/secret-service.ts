/** A D-Bus session of its own with GNOME's secret service on it: own folder, stopped by its handles. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { createInterface } from "node:readline"

export interface SecretService {
  /** What a process needs in its environment to find it. */
  readonly env: NodeJS.ProcessEnv
  /** Ends the service and starts it anew without the password: what it keeps is locked. */
  lock(): Promise<void>
  /** The files it keeps secrets in. */
  files(): readonly string[]
  stop(): Promise<void>
}

const PASSWORD = "at the login"

export async function startSecretService(): Promise<SecretService> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "sealwright-secrets-"))
  const at = (name: string) => path.join(folder, name)
  mkdirSync(at("run"), { mode: 0o700 })
  // No service is started by being asked for: which one answers is up to the test.
  writeFileSync(at("bus.conf"), BUS_CONFIG.replace("FOLDER", folder))
  const environment = {
    PATH: process.env["PATH"],
    HOME: folder,
    XDG_DATA_HOME: at("data"),
    XDG_RUNTIME_DIR: at("run"),
  }
  const bus = spawn("dbus-daemon", ["--nofork", "--print-address", `--config-file=${at("bus.conf")}`], {
    env: environment,
    stdio: ["ignore", "pipe", "ignore"],
  })
  const [address] = (await once(createInterface({ input: bus.stdout }), "line")) as [string] // readline's own event
  const env = { ...environment, DBUS_SESSION_BUS_ADDRESS: address }
  let daemon = await startDaemon(env, true)
  return {
    env: { DBUS_SESSION_BUS_ADDRESS: address },
    async lock() {
      await end(daemon)
      daemon = await startDaemon(env, false)
    },
    files: () => {
      const keyrings = path.join(at("data"), "keyrings")
      return existsSync(keyrings) ? readdirSync(keyrings).map((name) => path.join(keyrings, name)) : []
    },
    async stop() {
      await end(daemon)
      await end(bus)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function startDaemon(env: NodeJS.ProcessEnv, isUnlocked: boolean): Promise<ChildProcess> {
  const args = ["--foreground", "--components=secrets", ...(isUnlocked ? ["--unlock"] : [])]
  const daemon = spawn("gnome-keyring-daemon", args, { env, stdio: ["pipe", "ignore", "ignore"] })
  daemon.stdin.end(PASSWORD)
  // Ready when its name has an owner.
  while (daemon.exitCode === null) {
    const asked = spawn("dbus-send", HAS_OWNER, { env, stdio: ["ignore", "pipe", "ignore"] })
    let answer = ""
    asked.stdout.on("data", (text: Buffer) => (answer += text.toString()))
    await once(asked, "close")
    if (answer.includes("true")) return daemon
  }
  throw new Error("gnome-keyring-daemon does not start")
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, "exit")
  child.kill()
  await exited
}

const HAS_OWNER = [
  "--session",
  "--print-reply",
  "--dest=org.freedesktop.DBus",
  "/org/freedesktop/DBus",
  "org.freedesktop.DBus.NameHasOwner",
  "string:org.freedesktop.secrets",
]

const BUS_CONFIG = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir=FOLDER</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`
