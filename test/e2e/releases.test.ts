/** From a package to a ring of devices: approved behind a passphrase, published, promoted, rolled back, taken back. */
import { mkdirSync, writeFileSync } from "node:fs"
import path from "node:path"
import { beforeAll, expect, onTestFinished, test } from "vitest"
import type { Locator, Page } from "playwright"
import { followJob, type HostClient } from "../../main/contract/client.ts"
import { localEngine } from "../../main/contract/server.ts"
import { localPorts } from "../../main/platform/ports.ts"
import { createEngine } from "../../main/services/engine.ts"
import { chooseFiles, goTo, useDesktop } from "../support/browser.ts"
import { MODELS } from "../support/workspace.ts"

const PASSPHRASE = "seven brass keys"
const desktop = useDesktop((workspace) => {
  mkdirSync(path.join(workspace, "packages"))
})
const engine = (): HostClient => desktop.host.supervisor.engine

beforeAll(async () => {
  await engine().keys.create({ name: "press", purpose: "signing" })
  for (const name of ["press-07", "press-08", "press-09"])
    await engine().devices.add({ name, key: { kind: "software" } })
  for (const name of ["line-4", "line-5"]) {
    const file = await engine().files.refer({
      path: path.join(desktop.workspace, "packages", `${name}.seal`),
    })
    await followJob(
      await engine().protect({
        model: await engine().files.refer({ path: path.join(MODELS, "digits-mlp.onnx") }),
        devices: ["press-07", "press-08", "press-09"],
        signingKey: "press",
        escrow: [],
        mode: "fleet",
        mark: null,
        output: { file, replace: false },
      }),
    )
  }
})

test(
  "goes from nobody's word to a ring of devices, and asks for the passphrase on the way",
  { timeout: 120_000 },
  async () => {
    const { page, context, faults, look } = await desktop.open()
    await page.getByRole("link", { name: "Releases" }).click()
    await page.getByText("Nobody may release anything yet").waitFor()
    await look("releases-empty")
    await page.getByRole("button", { name: "Say who may release…" }).click()
    const setUp = page.getByRole("dialog", { name: "Who may release" })
    await setUp.getByText("none", { exact: true }).click()
    await look("releases-set-up")
    await setUp.getByRole("button", { name: "Begin" }).click()
    const choosing = page.getByRole("dialog", { name: "Choose a passphrase" })
    await choosing.getByLabel("Passphrase", { exact: false }).first().fill(PASSPHRASE)
    await choosing.getByLabel("The same again").fill("seven brass keyz")
    await choosing.getByText("The two differ").waitFor()
    expect(await choosing.getByRole("button", { name: "Choose it" }).isDisabled()).toBe(true)
    await choosing.getByLabel("The same again").fill(PASSPHRASE)
    await look("prompt-new")
    await page.keyboard.press("Enter")
    await answered(page, page.getByText("No release yet"))

    await makeRelease(page, "line-4")
    await page.getByText("Not ready").or(page.getByText("Measured and signed.")).first().waitFor()
    await page.locator("[data-check=approvals][data-state=attention]").waitFor()
    expect(await page.getByRole("button", { name: "Publish…" }).isDisabled()).toBe(true)
    await approve(page, look)
    await page.locator("[data-check=approvals][data-state=verified]").waitFor()
    await look("release")

    await page.getByRole("button", { name: "Publish…" }).click()
    await page.getByRole("dialog").getByText("There is no ring it is not out to already.").waitFor()
    await page.getByRole("dialog").getByRole("button", { name: "New ring…" }).click()
    await makeRing(page, "pilot", ["press-07"])
    await page.getByRole("button", { name: "Publish…" }).click()
    const publishing = page.getByRole("dialog", { name: "Publish line-4" })
    await publishing.getByText(/^1 device of pilot will be told to run line-4/).waitFor()
    await look("release-publish")
    await publishing.getByRole("button", { name: "Publish pilot" }).click()
    await answered(page, page.getByText("line-4 is out to pilot"))
    await page.getByText("0 of 1 confirmed").waitFor()
    expect(await engine().release.show({ name: "line-4" })).toMatchObject({ state: "released", counter: 1 })
    expect(faults).toEqual([])
    await context.close()
  },
)

test(
  "shows what a second release changes, rolls back and takes back, each only when asked twice",
  { timeout: 120_000 },
  async () => {
    const { page, context, faults, look } = await desktop.open()
    await goTo(page, "releases")
    await makeRelease(page, "line-5")
    await page.getByText("What changes against line-4").waitFor()
    await page.locator("[data-change=packages]").waitFor()
    await approve(page)
    await page.getByRole("button", { name: "Publish…" }).click()
    await page
      .getByRole("dialog")
      .getByText(/instead of line-4/)
      .waitFor()
    await page.getByRole("button", { name: "Publish pilot" }).click()
    await answered(page, page.getByText("line-5 is out to pilot"))
    await page.getByRole("dialog").waitFor({ state: "detached" })
    await look("release-second")

    await page.getByRole("button", { name: "Releases", exact: true }).click()
    await page.getByRole("row", { name: /line-5/ }).waitFor()
    await look("releases")
    await page.getByRole("tab", { name: "Rings" }).click()
    await page.getByRole("row", { name: /press-07 pilot line-5/ }).waitFor()
    await look("rings")
    await page.getByRole("link", { name: "Devices" }).click()
    const card = page.getByRole("article", { name: "press-07" })
    await card.getByText(/^told line-5, counter \d+$/).waitFor()
    await look("devices-fleet")
    await page.getByRole("link", { name: "Activity" }).click()
    const acts = page.getByRole("table", { name: "Trust acts" })
    await acts
      .getByRole("row", { name: /published line-5 to pilot, 1 device / })
      .first()
      .waitFor()
    await look("activity-log")
    await page.getByRole("link", { name: "Releases" }).click()
    await page.getByRole("tab", { name: "Who may sign" }).click()
    await page.getByText("tells devices what to run, without a person").waitFor()
    await look("signers")

    await goTo(page, "releases/line-4")
    await page.getByRole("button", { name: "More for line-4" }).click()
    await page.getByRole("menuitem", { name: "Roll a ring back to this…" }).click()
    const rolling = page.getByRole("dialog", { name: "Roll back to line-4" })
    await rolling.getByText(/told to run the packages of line-4 again instead of line-5/).waitFor()
    await look("release-rollback")
    await rolling.getByRole("button", { name: "Roll back pilot" }).click()
    await answered(page, page.getByText("pilot goes back"))

    await goTo(page, "releases/line-5")
    await page.getByRole("button", { name: "More for line-5" }).click()
    await page.getByRole("menuitem", { name: "Revoke…" }).click()
    const revoking = page.getByRole("dialog", { name: "Revoke line-5?" })
    await revoking.getByText(/This cannot be undone/).waitFor()
    await look("release-revoke")
    await revoking.getByRole("button", { name: "Keep" }).click()
    expect((await engine().release.show({ name: "line-5" })).state).toBe("retired")
    await page.getByRole("button", { name: "More for line-5" }).click()
    await page.getByRole("menuitem", { name: "Revoke…" }).click()
    await page.getByRole("button", { name: "Revoke for good" }).click()
    await answered(page, page.getByText("Taken back: devices refuse its packages."))
    expect(faults).toEqual([])
    await context.close()
  },
)

test(
  "tells who may not approve, and what a passphrase that is wrong needs",
  { timeout: 60_000 },
  async () => {
    const { page, context, look } = await desktop.open()
    await goTo(page, "releases")
    await makeRelease(page, "line-6", "line-4.seal")
    await page.getByRole("button", { name: "Approve…" }).click()
    const approving = page.getByRole("dialog", { name: "Approve line-6" })
    await approving.getByRole("combobox", { name: "Key" }).click()
    await page.getByRole("option", { name: "press", exact: true }).click()
    await approving.getByRole("button", { name: "Approve" }).click()
    await approving.getByText("ROLE_MISSING", { exact: true }).waitFor()
    await look("failure-release")
    await page.keyboard.press("Escape")
    await goTo(page, "releases")
    await page.getByRole("button", { name: "New release…" }).click()
    const making = page.getByRole("dialog", { name: "New release" })
    await making.getByRole("textbox", { name: "Name" }).fill("line-4")
    await choosePackage(page, "line-4.seal")
    await making.getByRole("button", { name: "Make release" }).click()
    await making.getByText("RELEASE_EXISTS", { exact: true }).waitFor()
    await context.close()
  },
)

test(
  "lets people sign who share no workspace: files go out, say what is signed, and come back",
  { timeout: 120_000 },
  async () => {
    const { page, context, faults, look } = await desktop.open()
    const at = (name: string) => path.join(desktop.folder, name)
    const saved = async (act: () => Promise<void>): Promise<string> => {
      const [download] = await Promise.all([page.waitForEvent("download"), act()])
      const file = at(download.suggestedFilename())
      await download.saveAs(file)
      return file
    }
    await goTo(page, "releases")
    await page.getByRole("tab", { name: "Who may sign" }).click()

    // A second approver, whose key is here, and two approvals from now on.
    await page.getByRole("button", { name: "Add a key…" }).click()
    const adding = page.getByRole("dialog", { name: "Add a key" })
    await adding.getByText("A key of this workspace").click()
    await adding.getByRole("combobox", { name: "Key" }).click()
    await page.getByRole("option", { name: "press", exact: true }).click()
    await look("signer-add")
    await adding.getByRole("button", { name: "Add key" }).click()
    await answered(page, page.getByRole("row", { name: /^approver .* 1 of 2 / }))
    await page.getByRole("button", { name: "Change the rules…" }).click()
    const rules = page.getByRole("dialog", { name: "Change the rules" })
    await rules.getByRole("textbox", { name: "Approvals a release needs" }).fill("2")
    await rules.getByRole("button", { name: "Change", exact: true }).click()
    await answered(page, page.getByText("2 needed", { exact: true }))

    // Her approval travels as files.
    await goTo(page, "releases/line-6")
    await page.getByRole("list", { name: "Approvals" }).getByText("press").waitFor()
    const more = async (item: string) => {
      await page.getByRole("button", { name: "More for line-6" }).click()
      await page.getByRole("menuitem", { name: item }).click()
    }
    const request = await saved(async () => more("Ask somebody elsewhere to approve…"))
    await goTo(page, "releases")
    await chooseFiles(page, [request], async () =>
      page.getByRole("button", { name: "Sign a request…" }).click(),
    )
    const approving = page.getByRole("dialog", { name: "Approve line-6 for another desk" })
    await approving.getByRole("combobox", { name: "Key" }).click()
    await page.getByRole("option", { name: "press", exact: true }).click()
    await look("request-approval")
    const approval = await saved(async () =>
      approving.getByRole("button", { name: "Sign and save the answer" }).click(),
    )
    await goTo(page, "releases/line-6")
    await chooseFiles(page, [approval], async () => more("Bring in approvals…"))
    await page
      .getByRole("listitem")
      .filter({ hasText: /^press.*approved/ })
      .waitFor()

    // A second owner of the trust root, elsewhere: what waits says what it says.
    const elsewhere = localPorts(at("bob"))
    onTestFinished(elsewhere.close)
    const bob = localEngine(createEngine(elsewhere.ports))
    const { publicKeyPem } = await bob.keys.create({ name: "bob", purpose: "signing" })
    writeFileSync(at("bob.pem"), publicKeyPem ?? "")
    await goTo(page, "releases")
    await page.getByRole("tab", { name: "Rings" }).click()
    await page.getByRole("button", { name: "More for press-07" }).click()
    await chooseFiles(page, [at("bob.pem")], async () =>
      page.getByRole("menuitem", { name: "Trust a key for its receipts…" }).click(),
    )
    await page.getByText("Receipts of press-07 count by this key").waitFor()
    await page.getByRole("tab", { name: "Who may sign" }).click()
    await page.getByRole("button", { name: "Add a key…" }).click()
    await adding.getByRole("combobox", { name: "Role" }).click()
    await page.getByRole("option", { name: "root", exact: true }).click()
    await chooseFiles(page, [at("bob.pem")], async () =>
      adding.getByRole("button", { name: "Choose key…" }).click(),
    )
    await adding.getByText("bob.pem").waitFor()
    await adding.getByLabel("Person").fill("bob")
    await adding.getByRole("textbox", { name: "Signatures the role needs" }).fill("2")
    await adding.getByRole("button", { name: "Add key" }).click()
    const waiting = page.getByRole("region", { name: "Waiting for signatures" })
    await answered(page, waiting)
    await look("signers-pending")
    const documents = await saved(async () =>
      waiting.getByRole("button", { name: "Save request for the others" }).click(),
    )
    await chooseFiles(page, [documents], async () =>
      page.getByRole("button", { name: "Sign a request…" }).click(),
    )
    const signing = page.getByRole("dialog", { name: "Sign for another desk: add a key to root" })
    await signing.getByRole("listitem").first().waitFor()
    await look("request-documents")
    await signing.getByRole("button", { name: "Cancel" }).click()
    const refer = async (name: string) => bob.files.refer({ path: name })
    await bob.trust.sign({
      request: await refer(documents),
      key: "bob",
      output: { file: await refer(at("answer.json")), replace: false },
    })
    await chooseFiles(page, [at("answer.json")], async () =>
      waiting.getByRole("button", { name: "Bring in answers…" }).click(),
    )
    await answered(page, page.getByRole("row", { name: /^root .* 2 of 2 / }))
    expect(faults).toEqual([])
    await context.close()
  },
)

/** Waits for what comes of it. The key is unlocked for the life of the engine: a question may come before, or not. */
async function answered(page: Page, outcome: Locator): Promise<void> {
  const asking = page.getByRole("dialog", { name: "Passphrase needed" })
  await asking.or(outcome).first().waitFor()
  if (await asking.isVisible()) {
    await asking.getByLabel("Passphrase").fill(PASSPHRASE)
    await page.keyboard.press("Enter")
  }
  await outcome.waitFor()
}

async function makeRelease(page: Page, name: string, file = `${name}.seal`): Promise<void> {
  await page.getByRole("button", { name: "New release…" }).first().click()
  const making = page.getByRole("dialog", { name: "New release" })
  await making.getByRole("textbox", { name: "Name" }).fill(name)
  await choosePackage(page, file)
  await making.getByRole("button", { name: "Make release" }).click()
  await page.getByRole("heading", { name, exact: true }).waitFor()
}

async function choosePackage(page: Page, file: string): Promise<void> {
  await page.getByRole("combobox", { name: "Packages" }).click()
  await page.getByRole("option", { name: file }).click()
  await page.keyboard.press("Tab")
}

async function approve(page: Page, look: (name: string) => Promise<void> = async () => {}): Promise<void> {
  await page.getByRole("button", { name: "Approve…" }).click()
  const approving = page.getByRole("dialog", { name: /^Approve / })
  await look("release-approve")
  await approving.getByRole("button", { name: "Approve" }).click()
  await approving.waitFor({ state: "detached" })
}

async function makeRing(page: Page, name: string, devices: readonly string[]): Promise<void> {
  const making = page.getByRole("dialog", { name: "New ring" })
  await making.getByRole("textbox", { name: "Name" }).fill(name)
  await making.getByRole("combobox", { name: "Devices" }).click()
  for (const device of devices) await page.getByRole("option", { name: device }).click()
  await page.keyboard.press("Tab")
  await making.getByRole("button", { name: "Make ring" }).click()
  await making.waitFor({ state: "detached" })
}
