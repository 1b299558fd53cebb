/** Every port, made real on this computer. */
import { randomFillSync } from "node:crypto"
import { existsSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { nativePayload } from "../../native/lib/payload.ts"
import type { Ports } from "../services/ports.ts"
import { authorityDocument } from "../services/ports/registry.ts"
import { PromptDesk } from "../services/prompt-desk.ts"
import type { Prompter } from "../services/ports/prompter.ts"
import { deviceFloors } from "./deployment/device-floors.ts"
import { FloorRecords } from "./deployment/floor-record.ts"
import { TpmFloors } from "./deployment/tpm-floors.ts"
import { localFiles } from "./files.ts"
import { jobScope } from "./job-scope.ts"
import { ledgerFolder } from "./ledger/ledger-folder.ts"
import { localMachine } from "./machine.ts"
import { markKernel } from "./mark/kernel.ts"
import { trialLauncher } from "./mark/trial-launcher.ts"
import { nativeBackend } from "./payload/native-backend.ts"
import { credentialReader } from "./keys/credential-reader.ts"
import { keyringProvider } from "./keys/keyring/provider.ts"
import { Pkcs11Provider } from "./keys/pkcs11/provider.ts"
import { softwareProvider } from "./keys/software/provider.ts"
import { keyRecords, keyStore } from "./keys/store.ts"
import { enrolmentFiles } from "./enrolment/enrolment-files.ts"
import { tpmAttestor, tpmCounters } from "./keys/tpm2/attestor.ts"
import { Tpm2Provider } from "./keys/tpm2/provider.ts"
import { payloadEngine } from "./payload/pipeline.ts"
import { workerBackend } from "./payload/worker-backend.ts"
import { noPrompter } from "./prompt/choose.ts"
import { credentialFiles } from "./registry/credentials.ts"
import { pushQueue } from "./registry/push-queue.ts"
import { registryAccess } from "./registry/registry-access.ts"
import { registries } from "./registry/registries.ts"
import { tokenServerFile } from "./registry/token-servers.ts"
import { reportRenderer } from "./report/renderer.ts"
import { auditLog } from "./serving/audit-log.ts"
import { runBudgets } from "./serving/run-budgets.ts"
import { servedRuntimes } from "./serving/served-runtimes.ts"
import { runtimeLauncher } from "./runtime/launcher.ts"
import { deviceFiles } from "./workspace/devices.ts"
import { traceEngine } from "./trace/code-words.ts"
import { suspectCommands } from "./trace/suspect-command.ts"
import { documentFiles } from "./workspace/documents.ts"
import { packageLibrary } from "./workspace/library.ts"
import { workspaceLocks } from "./workspace/workspace-locks.ts"
import { pemTrust } from "./workspace/trust.ts"

/** Where Linux shows a TPM. */
const TPM_DEVICES = ["/dev/tpmrm0", "/dev/tpm0"]

/** Worker threads that cipher when there is no addon. More than four wait for memory, not for processors. */
const MAX_CIPHER_WORKERS = 4

/** What a host may settle before the ports open. */
export interface PortOptions {
  /** Who is asked for passphrases and PINs while no window watches for questions; nobody unless given. */
  readonly prompter?: Prompter
  /** The TPM to use whatever a key's record says, in tpm2-tss syntax; SEALWRIGHT_TCTI unless given. */
  readonly tcti?: string
}

/** `workspace`: the folder that holds keys, devices and trust. `close` ends what the ports started. */
export function localPorts(
  workspace: string,
  { prompter = noPrompter, tcti = process.env["SEALWRIGHT_TCTI"] }: PortOptions = {},
): {
  readonly ports: Ports
  readonly close: () => Promise<void>
} {
  const native = nativePayload()
  const backend =
    native === null
      ? workerBackend(Math.min(os.availableParallelism(), MAX_CIPHER_WORKERS))
      : nativeBackend(native)
  const now = () => new Date()
  const random = (size: number) => randomFillSync(new Uint8Array(size))
  const scope = jobScope()
  const prompts = new PromptDesk(prompter, random, scope)
  const files = localFiles()
  const keyFolder = path.join(workspace, "keys")
  const documents = documentFiles(path.join(workspace, "documents"))
  const tpm2 = new Tpm2Provider(tcti === undefined || tcti === "" ? null : tcti, random, prompts)
  const providers = [
    softwareProvider(keyFolder, random, prompts),
    keyringProvider(random),
    tpm2,
    new Pkcs11Provider(random, prompts),
  ]
  const records = keyRecords(keyFolder)
  const keys = keyStore(records, providers, now, credentialReader(files, prompter))
  const credentials = credentialFiles(process.env)
  const remote = registries({
    pathOf: files.pathOf,
    authorityOf: async (host) => documents.read(authorityDocument(host)),
    credentials,
    tokenServers: tokenServerFile(path.join(workspace, "token-servers.json")),
    environment: process.env,
    now,
  })
  const counters = tpmCounters(tpm2)
  const ports: Ports = {
    files,
    payload: payloadEngine(backend),
    keys,
    attestor: tpmAttestor(tpm2, async ({ purpose, name }) => records[purpose].find(name)),
    counters,
    enrolments: enrolmentFiles(path.join(workspace, "enrolment")),
    devices: deviceFiles(path.join(workspace, "devices")),
    documents,
    floors: deviceFloors(
      new FloorRecords(documents, path.join(workspace, "floors.key"), random),
      new TpmFloors(counters),
      async ({ name, holdsKey }) => {
        const key = holdsKey ? await records.device.find(name) : null
        if (key?.place.provider === "tpm2")
          return { tcti: key.place.tcti, checkKey: async () => void (await tpm2.assurance(key)) }
        const isInSight = (tcti ?? "") !== "" || TPM_DEVICES.some((device) => existsSync(device))
        return isInSight ? { tcti: null, checkKey: null } : null
      },
    ),
    folders: {
      releases: files.refer(path.join(workspace, "releases")),
      slots: files.refer(path.join(workspace, "slots")),
    },
    locks: workspaceLocks(path.join(workspace, "locks")),
    library: packageLibrary(path.join(workspace, "library"), files),
    trust: pemTrust(keys, path.join(workspace, "trust"), files.pathOf),
    runtime: runtimeLauncher,
    budgets: runBudgets(path.join(workspace, "budgets")),
    audit: auditLog(path.join(workspace, "audit.jsonl")),
    served: servedRuntimes(workspace, files.pathOf),
    reports: reportRenderer,
    machine: localMachine(workspace),
    ledger: ledgerFolder(path.join(workspace, "ledger")),
    trials: trialLauncher,
    markKernel: markKernel(),
    registries: remote,
    registryAccess: registryAccess(credentials, prompts, remote.connect),
    pushes: pushQueue(path.join(workspace, "pushes"), files, now),
    tracing: traceEngine,
    suspects: suspectCommands,
    prompts,
    jobScope: scope,
    random,
    now,
    reportFault: (error) => {
      // Stacks hold paths of this machine, so they are shown only to somebody who asks for them here.
      if (process.env["SEALWRIGHT_DEBUG"] === "1") process.stderr.write(`${describeFault(error)}\n`)
    },
  }
  return {
    ports,
    close: async () => {
      remote.close()
      await Promise.all(providers.map(async (provider) => provider.close()))
      await backend.close()
    },
  }
}

function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? "" : `\ncaused by ${describeFault(error.cause)}`
  return `${error.stack ?? error.message}${cause}`
}
