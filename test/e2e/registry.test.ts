/** A package out to a registry and back, what waits when the registry is away, and the stick that needs none. */
import { mkdirSync, mkdtempSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { chooseFiles, goTo, useDesktop } from "../support/browser.ts"
import { dockerRegistry, type DockerRegistry } from "../support/docker-registry.ts"
import { faultyRegistry } from "../support/faulty-registry.ts"
import { seedWorkspace, type Seeded } from "../support/seeded-workspace.ts"

const LOGIN = { username: "press", password: "paper and ink" }
let registry: DockerRegistry
const before = process.env["DOCKER_CONFIG"]
const desktop = useDesktop(async (workspace) => {
  const folder = path.join(workspace, "..", "registry")
  mkdirSync(folder)
  registry = await dockerRegistry(folder, { login: LOGIN })
  await registry.start()
  // The engine inherits it: logins of these tests stay in their folder.
  process.env["DOCKER_CONFIG"] = path.join(workspace, "..", "docker")
})
let seeded: Seeded
beforeAll(async () => {
  seeded = await seedWorkspace(desktop.host.supervisor.engine, desktop.workspace, { isMarked: false })
})
afterAll(async () => {
  await registry.kill()
  if (before === undefined) delete process.env["DOCKER_CONFIG"]
  else process.env["DOCKER_CONFIG"] = before
})

test(
  "connects with a password, pushes a package and pulls it back verified",
  { timeout: 120_000 },
  async () => {
    const { page, context, faults, look } = await desktop.open()
    await page.getByRole("link", { name: "Registry" }).click()
    await page.getByText("No registry yet").waitFor()
    await look("registry-empty")
    await page.getByRole("button", { name: "Connect to a registry…" }).click()
    const connecting = page.getByRole("dialog", { name: "Connect to a registry" })
    await connecting.getByRole("textbox", { name: "Address" }).fill(registry.host)
    await connecting.getByRole("textbox", { name: "User name" }).fill(LOGIN.username)
    await connecting.getByRole("checkbox").check()
    await look("registry-connect")
    // A wrong password is told as that, and nothing is kept.
    await connecting.getByRole("button", { name: "Connect" }).click()
    const asking = page.getByRole("dialog", { name: "Password needed" })
    await asking.getByText(`the account press at ${registry.host}`).waitFor()
    await asking.getByLabel("Password").fill("something else")
    await look("prompt")
    await page.keyboard.press("Enter")
    await connecting.getByText("REGISTRY_UNAUTHORIZED", { exact: true }).waitFor()
    await connecting.getByRole("button", { name: "Connect" }).click()
    await asking.getByLabel("Password").fill(LOGIN.password)
    await asking.getByRole("button", { name: "Continue" }).click()
    await page.locator("[data-connection=good]").getByText("logged in").waitFor()

    await page.getByRole("button", { name: "Push…" }).click()
    const choosing = page.getByRole("dialog", { name: "Push a package" })
    await choosing.getByRole("combobox", { name: "Package" }).click()
    await page.getByRole("option", { name: "fashion-cnn.seal" }).click()
    await choosing.getByRole("button", { name: "Next" }).click()
    const pushing = page.getByRole("dialog", { name: /^Push .*\.seal$/ })
    await pushing.getByRole("textbox", { name: "Repository" }).fill("press/fashion-cnn")
    await look("registry-push")
    await pushing.getByRole("button", { name: "Push now" }).click()
    await page.getByText(`Pushed to ${registry.host}/press/fashion-cnn:1.0`).waitFor()

    await page.getByRole("button", { name: "Pull…" }).click()
    const pulling = page.getByRole("dialog", { name: "Pull a package" })
    await pulling.getByRole("textbox", { name: "Repository" }).fill("press/fashion-cnn")
    await pulling.getByRole("textbox", { name: "Tag or digest" }).fill("2.0")
    await pulling.getByRole("button", { name: "Pull" }).click()
    await pulling.getByText("REGISTRY_NOT_FOUND", { exact: true }).waitFor()
    await look("failure-registry")
    await pulling.getByRole("textbox", { name: "Tag or digest" }).fill("1.0")
    await pulling.getByRole("button", { name: "Pull" }).click()
    await page.getByText("Verified", { exact: true }).waitFor()
    // The password was in no message the page kept, and the browser was told nothing it would remember.
    const kept = await page.evaluate(
      () => JSON.stringify(Object.entries(sessionStorage)) + JSON.stringify(Object.entries(localStorage)),
    )
    expect(kept).not.toContain(LOGIN.password)
    expect(faults).toEqual([])
    await context.close()
  },
)

test(
  "trusts a registry's own authority once its certificates are given, and keeps them",
  {
    timeout: 120_000,
  },
  async () => {
    const folder = mkdtempSync(path.join(desktop.folder, "private-registry-"))
    const locked = await dockerRegistry(folder, { tls: true })
    try {
      await locked.start()
      const { page, context, look } = await desktop.open()
      await goTo(page, "registry")
      // Where there is a connection already, as after the test before, the button says less.
      await page
        .getByRole("button", { name: /^Connect( to a registry)?…$/ })
        .first()
        .click()
      const connecting = page.getByRole("dialog", { name: "Connect to a registry" })
      await connecting.getByRole("textbox", { name: "Address" }).fill(locked.host)
      await connecting.getByRole("button", { name: "Connect" }).click()
      await connecting.getByText("REGISTRY_TLS", { exact: true }).waitFor()
      await chooseFiles(page, [locked.authority ?? ""], async () =>
        connecting.getByRole("button", { name: "Choose certificates…" }).click(),
      )
      await connecting.getByRole("button", { name: "Take tls.pem away" }).waitFor()
      await look("registry-authority")
      await connecting.getByRole("button", { name: "Connect" }).click()
      const line = page.getByRole("listitem").filter({ hasText: locked.host })
      await line.getByText("by an authority of your own").waitFor()
      await line.getByText("connected", { exact: true }).waitFor()
      await context.close()
      // Whoever asks this host from this workspace trusts it: nothing is named any more.
      const { engine } = desktop.host.supervisor
      const wanted = { host: locked.host, plainHttp: false, authority: null }
      expect(await engine.registry.check(wanted)).toMatchObject({ tls: true })
      await engine.registry.connections.remove({ host: locked.host })
      await expect(engine.registry.check(wanted)).toFailWithCode("REGISTRY_TLS")
    } finally {
      await locked.kill()
    }
  },
)

test("keeps a push that its registry refuses, says why, and lets go of it only when asked", async () => {
  const { page, context, look } = await desktop.open()
  let isShut = true
  const closed = await faultyRegistry(() => (isShut ? { status: 403 } : undefined))
  await desktop.host.supervisor.engine.registry.connections.add({
    host: closed.host,
    plainHttp: true,
    authority: null,
  })
  await goTo(page, `packages/${seeded.good}`)
  await page.getByRole("button", { name: "Push…" }).click()
  const pushing = page.getByRole("dialog", { name: /^Push .*\.seal$/ })
  await pushing.getByRole("combobox", { name: "Registry" }).click()
  await page.getByRole("option", { name: closed.host }).click()
  await pushing.getByRole("button", { name: "Push now" }).click()
  await pushing.getByText("REGISTRY_DENIED", { exact: true }).waitFor()
  await pushing.getByRole("button", { name: "Queue for later" }).click()
  await goTo(page, "registry")
  const waiting = page.locator("[data-push=waiting]")
  await waiting.getByText("not tried yet").waitFor()
  await page.getByRole("button", { name: "Try now" }).click()
  await waiting.getByText("tried 1 time").waitFor()
  await waiting.getByText("REGISTRY_DENIED", { exact: true }).waitFor()
  await page.getByRole("button", { name: /\(1 queued\)$/ }).waitFor()
  await look("registry-queue")
  await page.getByRole("button", { name: /^Remove .* from the queue/ }).click()
  const asked = page.getByRole("dialog", { name: /^Remove .* from the queue/ })
  await asked.getByText(/The package itself stays/).waitFor()
  await asked.getByRole("button", { name: "Keep" }).click()
  isShut = false
  await page.getByRole("button", { name: "Try now" }).click()
  await page.getByText("Pushed 1 package").waitFor()
  await page.getByText(/^Nothing waits/).waitFor()
  await context.close()
})
