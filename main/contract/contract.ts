/**
 * All a client can ask of the engine. `clientContract` is what any user interface may reach; `hostContract` adds what only
 * the process that owns the user's files (CLI, desktop shell, loopback host) may do: turning paths into file references.
 */
import { eventIterator, oc } from "@orpc/contract"
import { z } from "zod"
import { fileRefSchema, jobSchema } from "./schema/base.ts"
import { doctorCheckSchema, doctorSchema } from "./schema/doctor.ts"
import {
  acceptedSchema,
  acceptSchema,
  enrolledSchema,
  enrolSchema,
  initDeviceSchema,
  initialisedSchema,
  respondedSchema,
  respondSchema,
  revocationSchema,
  revokedSchema,
} from "./schema/enrolment.ts"
import { inspectSchema, summarySchema } from "./schema/inspect.ts"
import { packageEntrySchema, packageFileSchema, sampleSchema } from "./schema/library.ts"
import { addDeviceSchema, createKeySchema, deviceSchema, keySchema, namedSchema } from "./schema/keys.ts"
import {
  exportedLedgerSchema,
  exportLedgerSchema,
  importLedgerSchema,
  initLedgerSchema,
  ledgerSchema,
} from "./schema/ledger.ts"
import { protectEventSchema, protectSchema } from "./schema/protect.ts"
import { quickstartEventSchema, quickstartSchema } from "./schema/quickstart.ts"
import {
  clearClientSchema,
  runtimeIdSchema,
  servedSchema,
  startEventSchema,
  startRuntimeSchema,
} from "./schema/serving.ts"
import {
  listTagsSchema,
  loginResultSchema,
  loginSchema,
  logoutResultSchema,
  logoutSchema,
  pullEventSchema,
  pullSchema,
  pushEventSchema,
  pushSchema,
  queuedPushSchema,
  registryCheckSchema,
  registryHostSchema,
  syncEventSchema,
  syncSchema,
  tagListSchema,
} from "./schema/registry.ts"
import { runEventSchema, runSchema } from "./schema/run.ts"
import {
  assembleSchema,
  changeTrustSchema,
  initTrustSchema,
  requestSignaturesSchema,
  signedRequestSchema,
  signRequestSchema,
  trustSchema,
} from "./schema/trust.ts"
import { validateEventSchema, validateSchema } from "./schema/validate.ts"
import { openEventSchema, openSchema, verifyEventSchema, verifySchema } from "./schema/verify.ts"

export const clientContract = {
  doctor: oc.output(doctorSchema),
  inspect: oc.input(inspectSchema).output(summarySchema),
  keys: {
    create: oc.input(createKeySchema).output(keySchema),
    list: oc.output(z.array(keySchema)),
    show: oc.input(namedSchema).output(keySchema),
    remove: oc.input(namedSchema).output(keySchema),
    doctor: oc.output(z.array(doctorCheckSchema)),
  },
  devices: {
    add: oc.input(addDeviceSchema).output(deviceSchema),
    list: oc.output(z.array(deviceSchema)),
    show: oc.input(namedSchema).output(deviceSchema),
    remove: oc.input(namedSchema).output(deviceSchema),
  },
  trust: {
    init: oc.input(initTrustSchema).output(trustSchema),
    show: oc.output(trustSchema),
    change: oc.input(changeTrustSchema).output(trustSchema),
    request: oc.input(requestSignaturesSchema).output(trustSchema),
    sign: oc.input(signRequestSchema).output(signedRequestSchema),
    assemble: oc.input(assembleSchema).output(trustSchema),
    discard: oc.output(trustSchema),
    refresh: oc.output(trustSchema),
  },
  library: {
    /** Newest first. */
    packages: oc.output(z.array(packageEntrySchema)),
    remember: oc.input(packageFileSchema).output(packageEntrySchema),
    /** Takes it off the list; the file stays. */
    forget: oc.input(packageFileSchema).output(packageEntrySchema),
    sample: oc.output(sampleSchema),
  },
  enrolment: {
    init: oc.input(initDeviceSchema).output(initialisedSchema),
    enrol: oc.input(enrolSchema).output(enrolledSchema),
    respond: oc.input(respondSchema).output(respondedSchema),
    accept: oc.input(acceptSchema).output(acceptedSchema),
    revoke: oc.input(revocationSchema).output(revokedSchema),
  },
  protect: oc.input(protectSchema).output(eventIterator(protectEventSchema)),
  verify: oc.input(verifySchema).output(eventIterator(verifyEventSchema)),
  open: oc.input(openSchema).output(eventIterator(openEventSchema)),
  run: oc.input(runSchema).output(eventIterator(runEventSchema)),
  runtimes: {
    /** The result is a runtime that answers; it stays after the job. */
    start: oc.input(startRuntimeSchema).output(eventIterator(startEventSchema)),
    list: oc.output(z.array(servedSchema)),
    stop: oc.input(runtimeIdSchema).output(servedSchema),
    clear: oc.input(clearClientSchema).output(servedSchema),
  },
  validate: oc.input(validateSchema).output(eventIterator(validateEventSchema)),
  quickstart: oc.input(quickstartSchema).output(eventIterator(quickstartEventSchema)),
  ledger: {
    init: oc.input(initLedgerSchema).output(ledgerSchema),
    status: oc.output(ledgerSchema),
    export: oc.input(exportLedgerSchema).output(exportedLedgerSchema),
    import: oc.input(importLedgerSchema).output(ledgerSchema),
  },
  registry: {
    push: oc.input(pushSchema).output(eventIterator(pushEventSchema)),
    pull: oc.input(pullSchema).output(eventIterator(pullEventSchema)),
    sync: oc.input(syncSchema).output(eventIterator(syncEventSchema)),
    queue: {
      add: oc.input(pushSchema).output(queuedPushSchema),
      list: oc.output(z.array(queuedPushSchema)),
      remove: oc.input(z.strictObject({ id: z.string() })).output(queuedPushSchema),
    },
    login: oc.input(loginSchema).output(loginResultSchema),
    logout: oc.input(logoutSchema).output(logoutResultSchema),
    check: oc.input(registryHostSchema).output(registryCheckSchema),
    list: oc.input(listTagsSchema).output(tagListSchema),
  },
  jobs: {
    list: oc.output(z.array(jobSchema)),
    cancel: oc.input(z.strictObject({ job: z.string() })).output(jobSchema),
  },
}

export const hostContract = {
  ...clientContract,
  files: {
    /** A reference to a path on the engine's machine. Only a host may ask: it decides what its user may touch. */
    refer: oc
      .input(
        z.strictObject({
          path: z.string().min(1).max(4096),
          /** The reference it had in an engine that ended: clients go on using it. */
          as: fileRefSchema.nullable().default(null),
        }),
      )
      .output(fileRefSchema),
    /** The path behind a reference, for a host that shows or sends the file. */
    locate: oc.input(z.strictObject({ file: fileRefSchema })).output(z.strictObject({ path: z.string() })),
  },
}
