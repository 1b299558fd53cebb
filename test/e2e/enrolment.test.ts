/** A device becomes known by files carried to and fro, from either end. */
import { writeFileSync } from "node:fs"
import path from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { HostClient } from "../../main/contract/client.ts"
import { chooseFiles, goTo, useDesktop } from "../support/browser.ts"
import { TRANSPORTS, type Engine } from "../support/engines.ts"

const desktop = useDesktop()
const at = (name: string) => path.join(desktop.folder, name)
const exchanged = (name: string) => path.join(desktop.workspace, "exchange", name)
/** The other end, in a workspace of its own. */
let other: Engine
const refer = async (engine: HostClient, file: string) => engine.files.refer({ path: file })

beforeAll(() => {
  const opened = TRANSPORTS[0]?.open(at("other"))
  if (opened === undefined) throw new Error("no transport")
  other = opened
})
afterAll(async () => other.close())

test(
  "the desk challenges a device, judges its answer and hands out certificates",
  { timeout: 60_000 },
  async () => {
    const { engine } = other
    await engine.enrolment.init({
      name: "press-20",
      place: { provider: "software", passphrase: false },
      hardwareId: "press-no-20",
      request: { file: await refer(engine, at("press-20.request")), replace: false },
    })
    const { page, context, faults, look } = await desktop.open()
    await page.getByRole("link", { name: "Devices" }).click()
    await page.getByRole("button", { name: "Enrol device…" }).click()
    const dialog = page.getByRole("dialog", { name: "Enrol a device" })
    // A file of roots goes with every judgement until it is taken away.
    writeFileSync(at("roots.pem"), "")
    await chooseFiles(page, [at("roots.pem")], async () =>
      dialog.getByRole("button", { name: "Choose certificates…" }).click(),
    )
    await dialog.getByRole("button", { name: "Take roots.pem away" }).click()
    await dialog.getByText("none: a chip is known by its fingerprint alone").waitFor()
    writeFileSync(at("notes.json"), "{}")
    await chooseFiles(page, [at("notes.json")], async () =>
      dialog.getByRole("button", { name: "Choose request…" }).click(),
    )
    await dialog.getByText("SIGNATURE_MALFORMED", { exact: true }).waitFor()
    await look("failure-enrolment")
    await chooseFiles(page, [at("press-20.request")], async () =>
      dialog.getByRole("button", { name: "Choose request…" }).click(),
    )
    await dialog.getByRole("button", { name: "Save press-20.challenge" }).waitFor()
    await look("enrolment-challenge")
    await engine.enrolment.respond({
      challenge: await refer(engine, exchanged("press-20.challenge")),
      output: { file: await refer(engine, at("press-20.response")), replace: false },
    })
    await chooseFiles(page, [at("press-20.response")], async () =>
      dialog.getByRole("button", { name: "Choose response…" }).click(),
    )
    await dialog.getByText("press-20 is enrolled").waitFor()
    expect(await dialog.locator("[data-check][data-state=verified]").count()).toBe(3)
    await look("enrolment-done")
    await dialog.getByRole("button", { name: "Done" }).click()
    await page
      .getByRole("article", { name: "press-20" })
      .getByText(/hardware press-no-20/)
      .waitFor()
    expect(
      await engine.enrolment.accept({
        certificates: await refer(engine, exchanged("press-20.certificates")),
      }),
    ).toMatchObject({ device: "press-20", assurance: "software" })
    expect(faults).toEqual([])
    await context.close()
  },
)

test(
  "this computer makes its keys, answers a challenge that is dropped, and keeps its certificates",
  { timeout: 60_000 },
  async () => {
    const { engine } = other
    const { page, context, look } = await desktop.open()
    await goTo(page, "devices")
    await page.getByRole("button", { name: "Enrol device…" }).click()
    const dialog = page.getByRole("dialog", { name: "Enrol a device" })
    await dialog.getByText("This computer is the device", { exact: true }).click()
    await dialog.getByRole("textbox", { name: "Name of this device" }).fill("press-21")
    await dialog.getByRole("combobox", { name: "Where its keys live" }).click()
    await page.getByRole("option", { name: "this account's keyring (software only)" }).click()
    await dialog.getByText("The system keeps the key").waitFor()
    await dialog.getByRole("combobox", { name: "Where its keys live" }).click()
    await page.getByRole("option", { name: "a file (software only)" }).click()
    await look("enrolment-device")
    await dialog.getByRole("button", { name: "Make keys and request" }).click()
    await dialog.getByRole("button", { name: "Save press-21.request" }).waitFor()
    await page.keyboard.press("Escape")
    await dialog.waitFor({ state: "detached" })
    const carry = async (file: string, to: string) =>
      engine.enrolment.enrol({
        file: await refer(engine, file),
        output: { file: await refer(engine, at(to)), replace: false },
        roots: null,
        approve: null,
        allowUnattested: false,
      })
    await carry(exchanged("press-21.request"), "press-21.challenge")
    // Whichever file of an enrolment comes in, it goes on from there.
    await goTo(page, "models")
    await chooseFiles(page, [at("press-21.challenge")], async () =>
      page.getByRole("button", { name: "Open model…" }).click(),
    )
    await dialog.getByRole("button", { name: "Save press-21.response" }).waitFor()
    await carry(exchanged("press-21.response"), "press-21.certificates")
    await chooseFiles(page, [at("press-21.certificates")], async () =>
      dialog.getByRole("button", { name: "Choose certificates…" }).click(),
    )
    await dialog.getByText("press-21 is enrolled").waitFor()
    await context.close()
  },
)
