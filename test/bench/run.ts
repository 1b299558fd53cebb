/**
 * `npm run bench [-- name…]`: runs the benches named (all without a name) and prints one JSON line a figure. Figures that
 * miss their limit are printed like all others: a timing never fails a run.
 */
import type { Bench, Figure } from "./bench.ts"
import { hardwareBench } from "./hardware.ts"
import { firewallBench } from "./firewall.ts"
import { markBenches } from "./mark/mark.ts"
import { markCostBench, markEmbedBench } from "./mark-embed.ts"
import { payloadBench } from "./payload.ts"
import { registryBench } from "./registry.ts"
import { runtimeBench } from "./runtime.ts"
import { spineBench } from "./spine.ts"
import { trustBenches } from "./trust.ts"
import { uiBench } from "./ui.ts"

const BENCHES: readonly Bench[] = [
  payloadBench,
  spineBench,
  registryBench,
  runtimeBench,
  ...trustBenches,
  hardwareBench,
  firewallBench,
  uiBench,
  markEmbedBench,
  markCostBench,
  ...markBenches,
]

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !BENCHES.some((bench) => bench.name === name))
if (unknown.length > 0) {
  console.error(
    `no bench named ${unknown.join(", ")}; there are: ${BENCHES.map(({ name }) => name).join(", ")}`,
  )
  process.exit(2)
}
for (const bench of BENCHES) {
  if (wanted.length === 0 || wanted.includes(bench.name)) await bench.run(print)
}

function print(figure: Figure): void {
  const ratio =
    figure.peerValue === null || figure.peerValue === 0 ? null : round(figure.ours / figure.peerValue)
  console.log(
    JSON.stringify({
      ...figure,
      ours: round(figure.ours),
      peerValue: figure.peerValue === null ? null : round(figure.peerValue),
      ratio,
    }),
  )
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
