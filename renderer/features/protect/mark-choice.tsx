/** Whether copies are marked, and what the cost of the mark is measured on. */
import { Select, Switch, Text } from "@mantine/core"
import type { OpenModel } from "../../api/open-models.ts"

/** `data`: on the model's own test data; `cautious`: on made-up inputs, with half the budget. */
export type MarkChoice = "data" | "cautious" | "off"

/** Quick, and safe for any model; test data makes the mark stronger and the wait longer. */
export const DEFAULT_MARK: MarkChoice = "cautious"

export function MarkFields({
  model,
  value,
  onChange,
}: {
  readonly model: OpenModel
  readonly value: MarkChoice
  readonly onChange: (value: MarkChoice) => void
}) {
  const isOn = value !== "off"
  return (
    <>
      <Switch
        size="xs"
        label={isOn ? "every copy, so that a leak can be traced to its device" : "no copy"}
        aria-label="Mark every copy"
        checked={isOn}
        onChange={(event) => onChange(event.currentTarget.checked ? DEFAULT_MARK : "off")}
      />
      {isOn ? (
        <Select
          aria-label="The mark is measured on"
          data={[
            ...(model.data === null
              ? []
              : [{ value: "data", label: `strength measured on ${model.data.name}` }]),
            { value: "cautious", label: "cautious strength, on made-up inputs" },
          ]}
          value={value}
          onChange={(next) => onChange(next === "data" ? "data" : "cautious")}
          mt={6}
          w={300}
        />
      ) : (
        <Text size="xs" c="dimmed">
          A copy that leaks cannot be traced to its device. This cannot be added later.
        </Text>
      )}
    </>
  )
}
