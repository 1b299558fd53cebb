import { NumberInput, SegmentedControl, Text } from "@mantine/core"
import type { InitTrust } from "../../../main/contract/schema/trust.ts"

export type Gates = InitTrust["gates"]

/** What a release needs before it may go out. */
export function GateFields({
  gates: { approvals, validation },
  onChange,
}: {
  readonly gates: Gates
  readonly onChange: (gates: Gates) => void
}) {
  return (
    <>
      <NumberInput
        label="Approvals a release needs"
        description="By different people"
        min={0}
        max={64}
        value={approvals}
        onChange={(value) => onChange({ approvals: Number(value) || 0, validation })}
        allowDecimal={false}
      />
      <div>
        <Text size="xs" fw={500} mb={4}>
          Packages that must have passed a signed measurement
        </Text>
        <SegmentedControl
          aria-label="Packages that must have passed a signed measurement"
          value={validation}
          onChange={(value) =>
            onChange({ approvals, validation: value === "all" || value === "none" ? value : "any" })
          }
          data={[
            { value: "all", label: "every one" },
            { value: "any", label: "at least one" },
            { value: "none", label: "none" },
          ]}
        />
      </div>
    </>
  )
}
