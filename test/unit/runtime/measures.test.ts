/** The measures of R1 and R2 as the kernel tells them from outside, whatever the runtime says of itself. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { descendants } from "../../support/memory-scanner.ts"
import { useDesk } from "../../support/desk.ts"
import { DeviceProcess, isRoot } from "../../support/runtime-device.ts"

const desk = useDesk()

// Only root may look into a process that is not dumpable.
describe.runIf(process.platform === "linux" && isRoot)("a sealed runtime", () => {
  test.each(["R1", "R2"] as const)("at %s is held by the kernel to what it says of itself", async (level) => {
    const file = desk.at(`${level}.seal`)
    await desk.protect("wine-linear.onnx", file)
    const { workspace, folder } = desk
    const device = new DeviceProcess({ workspace, file, device: "press-07", level, cwd: folder })
    expect(await device.answer()).toMatchObject({ kind: "loaded", level })
    expect(await device.tell("infer 2")).toEqual({ kind: "inferred" })
    const [runtime = -1] = descendants(device.pid)
    const about = (name: string) => readFileSync(`/proc/${runtime}/${name}`, "utf8")
    for (const thread of readdirSync(`/proc/${runtime}/task`)) {
      const status = about(`task/${thread}/status`)
      // The launcher's filter, and the closed list of the run filter, on each thread.
      expect(status).toMatch(/^NoNewPrivs:\t1$/m)
      expect(status).toMatch(/^Seccomp:\t2$/m)
      expect(Number(/^Seccomp_filters:\t(\d+)$/m.exec(status)?.[1])).toBeGreaterThanOrEqual(2)
      expect(status).toMatch(/^CapBnd:\t0{16}$/m)
      // None, or locking memory alone where the limit of it could not be lifted.
      for (const set of ["Inh", "Prm", "Eff", "Amb"])
        expect(status).toMatch(new RegExp(`^Cap${set}:\\t0{12}[04]000$`, "m"))
    }
    expect(about("limits")).toMatch(/^Max core file size +0 +0 /m)
    expect(readlinkSync(`/proc/${runtime}/ns/net`)).not.toBe(readlinkSync("/proc/self/ns/net"))
    const names = about("environ")
      .split("\0")
      .flatMap((entry) => (entry === "" ? [] : [entry.split("=")[0]]))
    expect(OWN_VARIABLES).toEqual(expect.arrayContaining(names))
    // Nothing that is open leads to a file but the package.
    const files = readdirSync(`/proc/${runtime}/fd`).map((fd) => readlinkSync(`/proc/${runtime}/fd/${fd}`))
    expect(files.filter((name) => name.startsWith("/") && !name.startsWith("/dev/"))).toEqual([file])
    // Nothing of the heap can be swapped out or dumped: it is locked (lo) and left out of dumps (dd).
    const heap = mappingsOf(about("smaps")).filter(({ sizeKb }) => sizeKb >= 16_384)
    if (level === "R2") expect(heap.some(({ name }) => name.includes("secretmem"))).toBe(true)
    else expect(heap.some(({ flags }) => flags.includes("lo") && flags.includes("dd"))).toBe(true)
    expect(Number(/^VmSwap:\t +(\d+) kB$/m.exec(about("status"))?.[1])).toBe(0)
    expect(await device.tell("close")).toEqual({ kind: "closed" })
  })
})

const OWN_VARIABLES = ["LD_PRELOAD", "SEALHEAP", "SEALWRIGHT_STEPS", "SEALWRIGHT_GUARD", "NODE_COMPILE_CACHE"]

interface Mapping {
  readonly name: string
  readonly sizeKb: number
  readonly flags: readonly string[]
}

function mappingsOf(smaps: string): readonly Mapping[] {
  return smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).map((text) => ({
    name: text.split("\n")[0] ?? "",
    sizeKb: Number(/^Size: +(\d+) kB$/m.exec(text)?.[1]),
    flags: (/^VmFlags: (.*)$/m.exec(text)?.[1] ?? "").trim().split(" "),
  }))
}
