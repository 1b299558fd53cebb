/** What the sealed runtime reaches on this computer, and what would change it. */
import { readFileSync } from "node:fs"
import { toAppError } from "../../contract/errors.ts"
import type { DoctorCheck } from "../../contract/schema/doctor.ts"
import type { LevelReport, RuntimeLevel } from "../../contract/schema/runtime.ts"
import { runtimeLauncher } from "./launcher.ts"

/** The level first, then a line for every measure that does not hold, then what root could still do at R2. */
export async function checkRuntime(): Promise<readonly DoctorCheck[]> {
  try {
    const report = await runtimeLauncher.probe(AbortSignal.timeout(PROBE_TIMEOUT_MS))
    return [levelCheck(report), ...stepChecks(report), ...(report.reached === "R2" ? [kernelCheck()] : [])]
  } catch (error) {
    const detail = `it does not start (${toAppError(error).code})`
    return [{ ...RUNTIME, result: "missing", detail, fix: "npm ci" }]
  }
}

export async function reachedLevel(): Promise<RuntimeLevel | null> {
  try {
    return (await runtimeLauncher.probe(AbortSignal.timeout(PROBE_TIMEOUT_MS))).reached
  } catch {
    return null
  }
}

const PROBE_TIMEOUT_MS = 15_000
const RUNTIME = { id: "runtime", title: "Sealed runtime" }

function levelCheck({ reached, reason, steps }: LevelReport): DoctorCheck {
  const held = steps.filter(({ isHeld }) => isHeld).length
  if (reason === "") {
    return { ...RUNTIME, result: "ok", detail: `level ${reached}: ${held} measures tried and held`, fix: "" }
  }
  return { ...RUNTIME, result: "limited", detail: `level ${reached}`, fix: "see the lines below" }
}

function stepChecks({ steps }: LevelReport): readonly DoctorCheck[] {
  return steps
    .filter(({ isHeld }) => !isHeld)
    .map(({ step, title, level, isOptional, detail }) => ({
      id: `runtime-${step}`,
      title: `${level}: ${title}`,
      result: "limited",
      detail: isOptional ? `${detail} (optional)` : detail,
      fix: fixFor(step, detail),
    }))
}

/** The setting that makes a measure possible. A unit file with all of them: packaging/systemd/sealwright-runtime.conf. */
function fixFor(step: string, detail: string): string {
  if (detail.includes("not built")) return "npm run build:native"
  if (detail.includes("only Linux")) return "use a Linux device"
  switch (step) {
    case "network-namespace":
      return "systemd: PrivateNetwork=yes"
    case "landlock":
      return "kernel: CONFIG_SECURITY_LANDLOCK=y and landlock in the lsm= option"
    case "start-filter":
    case "run-filter":
      return "kernel: CONFIG_SECCOMP_FILTER=y"
    case "no-swap":
      return "systemd: LimitMEMLOCK=infinity, or MemorySwapMax=0"
    case "secret-heap":
    case "secret-stacks":
      return detail.includes("limited")
        ? "systemd: LimitMEMLOCK=infinity, or memlock in /etc/security/limits.conf"
        : "kernel 5.14 or newer: CONFIG_SECRETMEM=y, and secretmem.enable=1 before 6.5"
    case "tracer-guard":
      return "sysctl kernel.yama.ptrace_scope=1 or lower; in a container allow ptrace"
    default:
      return ""
  }
}

/** Root can run code inside any process through the kernel; these options take that away (docs/THREATMODEL.md). */
function kernelCheck(): DoctorCheck {
  const check = { id: "runtime-kernel", title: "R2: kernel closed to root" }
  const lockdown = readText("/sys/kernel/security/lockdown")
  const isLocked = lockdown.includes("[confidentiality]")
  const isForced = !/proc_mem\.force_override=(never|ptrace)/.test(readText("/proc/cmdline"))
  if (isLocked && !isForced) return { ...check, result: "ok", detail: "locked down", fix: "" }
  return {
    ...check,
    result: "limited",
    detail: "root can put code into any process by kprobes, bpf, modules or /proc/PID/mem",
    fix:
      [
        ...(isLocked ? [] : ["lockdown=confidentiality"]),
        ...(isForced ? ["proc_mem.force_override=never"] : []),
      ].join(" ") + " on the kernel command line",
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return "" // not there, or not for us: then it holds nothing we could count on
  }
}
