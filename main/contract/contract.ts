/**
 * All a client can ask of the engine. `clientContract` is what any user interface may reach; `hostContract` adds what only
 * the process that owns the user's files (CLI, desktop shell, loopback host) may do: turning paths into file references.
 */
import { eventIterator, oc } from "@orpc/contract"
import { z } from "zod"
import { fileRefSchema, jobSchema } from "./schema/base.ts"
import { doctorCheckSchema, doctorSchema, levelsSchema } from "./schema/doctor.ts"
import {
  attachCertificateSchema,
  attachedCertificateSchema,
  importedKeySchema,
  importKeySchema,
  requestCertificateSchema,
  requestedCertificateSchema,
  showCertificateSchema,
  shownCertificatesSchema,
  shownKeySchema,
  verifiedCertificateSchema,
  verifyCertificateSchema,
} from "./schema/certificates.ts"
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
import { proveEntrySchema, provedEntrySchema, trustLogSchema } from "./schema/log.ts"
import { answerSchema, questionsSchema } from "./schema/prompts.ts"
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
  connectionSchema,
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
  approveSchema,
  attachSchema,
  collectSchema,
  createReleaseSchema,
  exportedEventSchema,
  exportSchema,
  approvalSignedSchema,
  lookAtApprovalSchema,
  requestApprovalSchema,
  signApprovalSchema,
  fleetDeviceSchema,
  importedSchema,
  importSchema,
  publishedEventSchema,
  publishSchema,
  receiptKeySchema,
  releaseEventSchema,
  releaseSchema,
  takenBackSchema,
  revokeSchema,
  ringSchema,
  rollbackReleaseSchema,
  setRingSchema,
} from "./schema/release.ts"
import {
  deliveredSchema,
  deliverSchema,
  deploymentEventSchema,
  deploymentStatusSchema,
  deviceVerdictEventSchema,
  installedPackageSchema,
  installSchema,
  onDeviceSchema,
  provisionedSchema,
  provisionSchema,
  receiptsSchema,
  receiptsWrittenSchema,
  syncDeviceSchema,
} from "./schema/deployment.ts"
import {
  assembleSchema,
  changeTrustSchema,
  initTrustSchema,
  lookSchema,
  pendingSchema,
  requestSignaturesSchema,
  signedRequestSchema,
  signRequestSchema,
  trustSchema,
} from "./schema/trust.ts"
import { traceBlackboxEventSchema, traceBlackboxSchema } from "./schema/trace-blackbox.ts"
import { traceEventSchema, traceSchema } from "./schema/trace.ts"
import { validateEventSchema, validateSchema } from "./schema/validate.ts"
import { openEventSchema, openSchema, verifyEventSchema, verifySchema } from "./schema/verify.ts"

export const clientContract = {
  doctor: oc.output(doctorSchema),
  levels: oc.output(levelsSchema),
  inspect: oc.input(inspectSchema).output(summarySchema),
  keys: {
    create: oc.input(createKeySchema).output(keySchema),
    list: oc.output(z.array(keySchema)),
    show: oc.input(namedSchema).output(shownKeySchema),
    remove: oc.input(namedSchema).output(keySchema),
    doctor: oc.output(z.array(doctorCheckSchema)),
    import: oc.input(importKeySchema).output(importedKeySchema),
  },
  certificates: {
    show: oc.input(showCertificateSchema).output(shownCertificatesSchema),
    verify: oc.input(verifyCertificateSchema).output(verifiedCertificateSchema),
    request: oc.input(requestCertificateSchema).output(requestedCertificateSchema),
    attach: oc.input(attachCertificateSchema).output(attachedCertificateSchema),
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
    look: oc.input(lookSchema).output(pendingSchema),
    sign: oc.input(signRequestSchema).output(signedRequestSchema),
    assemble: oc.input(assembleSchema).output(trustSchema),
    discard: oc.output(trustSchema),
    refresh: oc.output(trustSchema),
  },
  release: {
    create: oc.input(createReleaseSchema).output(eventIterator(releaseEventSchema)),
    list: oc.output(z.array(releaseSchema)),
    show: oc.input(namedSchema).output(releaseSchema),
    approve: oc.input(approveSchema).output(releaseSchema),
    requestApproval: oc.input(requestApprovalSchema).output(releaseSchema),
    lookAtApproval: oc.input(lookAtApprovalSchema).output(releaseSchema),
    signApproval: oc.input(signApprovalSchema).output(approvalSignedSchema),
    attach: oc.input(attachSchema).output(releaseSchema),
    publish: oc.input(publishSchema).output(eventIterator(publishedEventSchema)),
    promote: oc.input(publishSchema).output(eventIterator(publishedEventSchema)),
    rollback: oc.input(rollbackReleaseSchema).output(eventIterator(publishedEventSchema)),
    revoke: oc.input(revokeSchema).output(takenBackSchema),
  },
  fleet: {
    setRing: oc.input(setRingSchema).output(ringSchema),
    rings: oc.output(z.array(ringSchema)),
    status: oc.output(z.array(fleetDeviceSchema)),
    trustReceipts: oc.input(receiptKeySchema).output(deviceSchema),
    export: oc.input(exportSchema).output(eventIterator(exportedEventSchema)),
    import: oc.input(importSchema).output(importedSchema),
    /** Receipts that devices attached to their grants in a repository. */
    collect: oc.input(collectSchema).output(importedSchema),
  },
  deployment: {
    provision: oc.input(provisionSchema).output(provisionedSchema),
    sync: oc.input(syncDeviceSchema).output(eventIterator(deploymentEventSchema)),
    verify: oc.input(onDeviceSchema).output(eventIterator(deviceVerdictEventSchema)),
    install: oc.input(installSchema).output(eventIterator(deploymentEventSchema)),
    commit: oc.input(onDeviceSchema).output(deploymentStatusSchema),
    rollback: oc.input(onDeviceSchema).output(deploymentStatusSchema),
    status: oc.input(onDeviceSchema).output(deploymentStatusSchema),
    /** What `run` takes on a device under deployment. */
    installed: oc.input(onDeviceSchema).output(installedPackageSchema),
    receipts: oc.input(receiptsSchema).output(receiptsWrittenSchema),
    /** Receipts that no registry has taken yet, attached to their grants. */
    deliver: oc.input(deliverSchema).output(deliveredSchema),
  },
  log: {
    show: oc.output(trustLogSchema),
    prove: oc.input(proveEntrySchema).output(provedEntrySchema),
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
  trace: oc.input(traceSchema).output(eventIterator(traceEventSchema)),
  traceBlackbox: oc.input(traceBlackboxSchema).output(eventIterator(traceBlackboxEventSchema)),
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
    connections: {
      /** The authority's certificates are copied into the workspace: from then on they hold whoever asks this host. */
      add: oc.input(registryHostSchema).output(connectionSchema),
      list: oc.output(z.array(connectionSchema)),
      /** The login stays: `logout` ends that. */
      remove: oc.input(logoutSchema).output(connectionSchema),
    },
    login: oc.input(loginSchema).output(loginResultSchema),
    logout: oc.input(logoutSchema).output(logoutResultSchema),
    check: oc.input(registryHostSchema).output(registryCheckSchema),
    list: oc.input(listTagsSchema).output(tagListSchema),
  },
  prompts: {
    /** Passphrases and PINs that are needed now; whoever watches can be asked. */
    watch: oc.output(eventIterator(questionsSchema)),
    answer: oc.input(answerSchema),
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
