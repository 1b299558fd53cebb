/** How far a release has got in each of its rings, from receipts the devices signed. */
import { Progress, Text, Title } from "@mantine/core"
import type { FleetDevice, Release } from "../../../main/contract/schema/release.ts"

export function RingProgress({
  release: { name, rings },
  fleet,
}: {
  readonly release: Release
  readonly fleet: readonly FleetDevice[]
}) {
  return (
    <section aria-label="Rings">
      <Title order={2} size="h5" mb="xs">
        Rings
      </Title>
      <div className="sw-ring-columns">
        {rings.map((ring) => {
          const told = fleet.filter((device) => device.ring === ring && device.wanted === name)
          const done = told.filter((device) => device.running === name).length
          const failed = told.filter(({ state }) => state === "failed").length
          return (
            <div key={ring} className="sw-card">
              <Text fw={600} size="sm" className="sw-ellipsis" title={ring}>
                {ring}
              </Text>
              <Progress.Root size="sm" my={6}>
                <Progress.Section
                  value={told.length === 0 ? 0 : (done / told.length) * 100}
                  aria-label={`${ring}: devices that confirmed`}
                />
                <Progress.Section
                  value={told.length === 0 ? 0 : (failed / told.length) * 100}
                  color="red.8"
                  aria-label={`${ring}: devices that refused`}
                />
              </Progress.Root>
              <Text size="xs" c="dimmed" className="sw-numbers">
                {done} of {told.length} confirmed{failed > 0 ? `, ${failed} failed` : ""}
              </Text>
            </div>
          )
        })}
      </div>
    </section>
  )
}
