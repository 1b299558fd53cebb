/** Every command there is, in the order of the help. */
import type { Register } from "./main.ts"
import { registerDevice } from "./commands/device.ts"
import { registerDoctor } from "./commands/doctor.ts"
import { registerFleet } from "./commands/fleet.ts"
import { registerInspect } from "./commands/inspect.ts"
import { registerKeys } from "./commands/keys.ts"
import { registerLedger } from "./commands/ledger.ts"
import { registerLog } from "./commands/log.ts"
import { registerOpen } from "./commands/open.ts"
import { registerProtect } from "./commands/protect.ts"
import { registerPull } from "./commands/pull.ts"
import { registerPush } from "./commands/push.ts"
import { registerQuickstart } from "./commands/quickstart.ts"
import { registerRelease } from "./commands/release.ts"
import { registerRegistry } from "./commands/registry.ts"
import { registerRun } from "./commands/run.ts"
import { registerRuntime } from "./commands/runtime.ts"
import { registerTrust } from "./commands/trust.ts"
import { registerServe } from "./commands/serve.ts"
import { registerTrace } from "./commands/trace.ts"
import { registerSync } from "./commands/sync.ts"
import { registerValidate } from "./commands/validate.ts"
import { registerVerify } from "./commands/verify.ts"

export const COMMANDS: readonly Register[] = [
  registerQuickstart,
  registerInspect,
  registerKeys,
  registerDevice,
  registerProtect,
  registerTrust,
  registerRelease,
  registerFleet,
  registerLog,
  registerVerify,
  registerOpen,
  registerRun,
  registerRuntime,
  registerValidate,
  registerTrace,
  registerLedger,
  registerPush,
  registerPull,
  registerSync,
  registerRegistry,
  registerDoctor,
  registerServe,
]
