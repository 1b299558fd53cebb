/** The units of the device agent, looked at by systemd's own judgement of how far a service is shut in. */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import path from "node:path"
import { expect, test } from "vitest"
import { ROOT } from "../support/workspace.ts"

const UNITS = ["sealwright-device@.service", "sealwright-runtime@.service"].map((name) =>
  path.join(ROOT, "packaging", "systemd", name),
)

interface Judged {
  readonly json_field: string
  readonly set: boolean | null
}

/** What systemd finds open: settings that it would want and does not see, by its own names. */
function openIn(unit: string): readonly string[] {
  const { status, stdout, stderr } = spawnSync(
    "systemd-analyze",
    // In tenths: 1.0 and below is "safe". Above it the status says so.
    ["security", "--offline=yes", "--threshold=10", "--json=short", unit],
    { encoding: "utf8" },
  )
  if (status !== 0) throw new Error(`${path.basename(unit)} is open: ${stdout}${stderr}`)
  const judged = JSON.parse(stdout) as readonly Judged[] // systemd-analyze(1)
  return judged.flatMap(({ json_field, set }) => (set === false ? [json_field] : []))
}

test("leaves open what the sealed runtime, the TPM and JavaScript need, and nothing else", () => {
  for (const unit of UNITS)
    expect(openIn(unit).toSorted(), unit).toEqual(
      [
        // The package lies in /usr, with the libraries of the system.
        "RootDirectoryOrRootImage",
        // Reading the processor's description: how many cores, which instructions.
        "ProcSubset",
        // JavaScript is compiled while it runs.
        "MemoryDenyWriteExecute",
        // The TPM; DevicePolicy= closes the others.
        "PrivateDevices",
        "DeviceAllow",
        // Clients of the runtime, and its own sealed child.
        "RestrictAddressFamilies_AF_UNIX",
        // The tracer guard, and giving up capabilities, which wants the call also when there are none.
        "SystemCallFilter_debug",
        "SystemCallFilter_privileged",
        // Nobody else's namespace is a better place: who makes one may trace what runs in it.
        "PrivateUsers",
      ].toSorted(),
    )
})

test("are the same in both, but for what each starts", () => {
  const [device, runtime] = UNITS.map((unit) => {
    const text = readFileSync(unit, "utf8")
    return text.slice(
      text.indexOf("# Secret memory counts"),
      text.includes("[Install]") ? text.indexOf("\n[Install]") : undefined,
    )
  })
  expect(device).toContain("NoNewPrivileges=yes")
  expect(runtime).toBe(device)
})
