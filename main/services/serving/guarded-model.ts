/** A sealed model behind its grant's firewall: the only way inputs of anybody reach it. */
import type { RuntimeLevel } from "../../contract/schema/runtime.ts"
import { Firewall } from "../../core/policy/firewall/firewall.ts"
import type { Policy } from "../../core/policy/policy.ts"
import type { Ports, RuntimeProcess, Tensor } from "../ports.ts"
import { loadSealedModel, type SealedModelRequest } from "../sealed-model.ts"

export interface GuardedModel {
  readonly runtime: RuntimeProcess
  readonly firewall: Firewall
  readonly policy: Policy
  readonly packageDigest: string
  infer(client: string, inputs: readonly Tensor[], signal: AbortSignal): Promise<readonly Tensor[]>
  close(): Promise<void>
}

/** Loads the model. Clients are admitted by the caller. Throws what loadSealedModel throws. */
export async function openGuardedModel(
  ports: Ports,
  request: SealedModelRequest,
  level: RuntimeLevel | null,
  signal: AbortSignal,
): Promise<GuardedModel> {
  const {
    runtime,
    policy,
    grantDigest: grant,
    packageDigest,
  } = await loadSealedModel(ports, request, level, signal)
  try {
    const isCounted = policy.firewall.lifetimeRows !== null
    let rowsUsed = isCounted ? await ports.budgets.claim(grant) : 0
    const firewall = new Firewall({
      rules: policy.firewall,
      inputs: runtime.model.inputs,
      rowsUsed,
      salt: ports.random(32),
      seed: ports.random(32),
      now: ports.now,
      clockMs: () => performance.now(),
      spend: async (rows) => {
        rowsUsed = rows
        await ports.budgets.spend(grant, rows)
      },
      audit: (record) => ports.audit.append({ ...record, grant }),
      pause,
    })
    return {
      runtime,
      firewall,
      policy,
      packageDigest,
      infer: async (client, inputs, callSignal) =>
        firewall.call(
          client,
          inputs,
          async (checked) => (await runtime.infer(checked, callSignal)).outputs,
          callSignal,
        ),
      async close() {
        await runtime.close()
        if (isCounted) await ports.budgets.settle(grant, rowsUsed)
        await ports.audit.flush()
      },
    }
  } catch (error) {
    await runtime.close()
    throw error
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds)
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer)
        reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"))
      },
      { once: true },
    )
  })
}
