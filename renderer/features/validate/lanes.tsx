/** Every kind of runtime beside the plain one: all of them answered the same calls in turn. */
import { Text, Title } from "@mantine/core"
import type { Lane, Validation } from "../../../main/contract/schema/validate.ts"
import { StateBadge } from "../../ui/state.tsx"
import { bytesText, millisecondsText } from "../../ui/units.ts"

const NAMES: Readonly<Record<Lane["name"], string>> = {
  plain: "plain",
  R0: "R0, a process of its own",
  R1: "R1, shut in",
  R2: "R2, weights in secret memory",
  firewall: "with the firewall",
}

export function Lanes({ lanes, skippedLanes }: Pick<Validation, "lanes" | "skippedLanes">) {
  return (
    <section aria-label="Levels">
      <Title order={2} size="h5" mb="xs">
        By level
      </Title>
      <Text size="sm" c="dimmed" mb="xs">
        Each a process of its own and called alike, in turn: what differs is the sealing alone.
      </Text>
      <table className="sw-values">
        <thead>
          <tr>
            <th scope="col">Runtime</th>
            <th scope="col">Median</th>
            <th scope="col">95th percentile</th>
            <th scope="col">Against plain</th>
            <th scope="col">Load</th>
            <th scope="col">Peak memory</th>
            <th scope="col">Outputs</th>
          </tr>
        </thead>
        <tbody>
          {lanes.map((lane) => (
            <tr key={lane.name} className="sw-numbers">
              <th scope="row">{NAMES[lane.name]}</th>
              <td>{millisecondsText(lane.latencyMs.p50)}</td>
              <td>{millisecondsText(lane.latencyMs.p95)}</td>
              <td>{lane.name === "plain" ? "–" : `${lane.overhead.p50.toFixed(2)}×`}</td>
              <td>{millisecondsText(lane.loadMs)}</td>
              <td>{bytesText(lane.peakMemoryBytes)}</td>
              <td>
                <Outputs lane={lane} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {skippedLanes.map(({ name, why }) => (
        <Text key={name} size="sm" c="dimmed">
          {name}: not measured, {why}
        </Text>
      ))}
    </section>
  )
}

function Outputs({ lane: { name, rowsCompared, identicalRows } }: { readonly lane: Lane }) {
  const isSame = identicalRows === rowsCompared
  // A mark changes what the plain model answers; that is measured as accuracy.
  if (rowsCompared === 0 || (name === "plain" && !isSame)) return "–"
  return (
    <StateBadge state={isSame ? "verified" : "refused"}>
      {isSame ? "identical" : `${rowsCompared - identicalRows} of ${rowsCompared} differ`}
    </StateBadge>
  )
}
