import { Badge, Group, Text, Title, Tooltip } from "@mantine/core"
import { useMemo } from "react"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import type { ModelSummary } from "../../../main/contract/schema/inspect.ts"
import { Facts } from "../../ui/page.tsx"
import { StateBadge } from "../../ui/state.tsx"
import { TestData } from "../../ui/test-data.tsx"
import { bytesText, countText, percentText, shapeText } from "../../ui/units.ts"

export function ModelOverview({ file, model }: { readonly file: FileRef; readonly model: ModelSummary }) {
  return (
    <div className="sw-columns">
      <section>
        <Title order={2} size="h5">
          Inputs and outputs
        </Title>
        <Values label="Inputs" values={model.inputs} />
        <Values label="Outputs" values={model.outputs} />
        <Title order={2} size="h5" mt="md">
          Where the parameters are
        </Title>
        <ParameterStrip model={model} />
        <Title order={2} size="h5" mt="md">
          Operators
        </Title>
        <Group gap={6} mt={4}>
          {model.operators.slice(0, 24).map(({ name, count }) => (
            <Badge key={name} variant="default" size="sm" className="sw-badge">
              {name} {count}
            </Badge>
          ))}
        </Group>
      </section>
      <section>
        <Title order={2} size="h5">
          Test data
        </Title>
        <TestData file={file} />
        <Title order={2} size="h5" mt="md">
          File
        </Title>
        <Facts
          rows={[
            ["Size", bytesText(model.bytes)],
            ["Parameters", countText(model.parameters)],
            ["Operator sets", model.opsets.map(({ domain, version }) => `${domain} ${version}`).join(", ")],
            ["Made by", model.producer === "" ? "not said" : model.producer],
            [
              "External files",
              model.externalFiles.length === 0
                ? "none"
                : model.externalFiles.map(({ name, bytes }) => `${name} (${bytesText(bytes)})`).join(", "),
            ],
            ["Signed by", <Signature key="signature" signature={model.signature} />],
            ...(model.customDomains.length === 0
              ? []
              : ([["Custom operators", model.customDomains.join(", ")]] as const)),
          ]}
        />
      </section>
    </div>
  )
}

/** Who vouches for the model as it came here. */
function Signature({ signature }: Pick<ModelSummary, "signature">) {
  if (signature === null) return "nobody: no signature lies beside it"
  const { name, by, code, reason } = signature
  const state = code === null ? "verified" : code === "SIGNATURE_MISMATCH" ? "refused" : "attention"
  return (
    <>
      <StateBadge state={state}>{code === null ? by : "does not hold"}</StateBadge>
      <Text size="xs" c="dimmed" className="sw-wrap">
        {name}: {reason} {code !== null && <code className="sw-code">{code}</code>}
      </Text>
    </>
  )
}

function Values({ label, values }: { readonly label: string; readonly values: ModelSummary["inputs"] }) {
  return (
    <table className="sw-values">
      <caption>{label}</caption>
      <tbody>
        {values.map(({ name, type, shape }) => (
          <tr key={name}>
            <th scope="row" className="sw-wrap">
              {name}
            </th>
            <td>{type}</td>
            <td>{shapeText(shape)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

const MAX_SEGMENTS = 60
const COLORS = ["#0b7372", "#3b5fc0", "#8a5a00", "#7a4fb5", "#157347", "#a8456a"]

/** Tensors in their order as a bar: its width is their share. Small ones are drawn together. */
function ParameterStrip({ model }: { readonly model: ModelSummary }) {
  const segments = useMemo(() => toSegments(model), [model])
  const largest = segments.toSorted((a, b) => b.bytes - a.bytes).slice(0, 5)
  return (
    <>
      <div
        className="sw-strip"
        role="img"
        aria-label={`Largest: ${largest.map(({ name, share }) => `${name} ${percentText(share)}`).join(", ")}`}
      >
        {segments.map(({ name, bytes, share, color }, index) => (
          <Tooltip
            key={index}
            label={`${name}: ${bytesText(bytes)}, ${percentText(share)}`}
            maw={360}
            multiline
          >
            <div style={{ flexGrow: bytes, background: color }} />
          </Tooltip>
        ))}
      </div>
      <ul className="sw-strip-list">
        {largest.map(({ name, bytes, share, color }, index) => (
          <li key={index}>
            <span className="sw-strip-key" style={{ background: color }} aria-hidden />
            <span className="sw-ellipsis" title={name}>
              {name}
            </span>
            <Text span size="xs" c="dimmed" className="sw-numbers">
              {bytesText(bytes)}, {percentText(share)}
            </Text>
          </li>
        ))}
      </ul>
    </>
  )
}

function toSegments({ tensors }: ModelSummary) {
  const total = tensors.reduce((sum, { bytes }) => sum + bytes, 0)
  const limit = total / MAX_SEGMENTS / 4
  const out: { name: string; bytes: number; share: number; color: string }[] = []
  let small = 0
  let smallBytes = 0
  for (const { name, bytes } of tensors) {
    if (bytes < limit) {
      small += 1
      smallBytes += bytes
      continue
    }
    out.push({ name, bytes, share: bytes / total, color: COLORS[out.length % COLORS.length] ?? "" })
  }
  if (small > 0)
    out.push({
      name: `${small} small tensors`,
      bytes: smallBytes,
      share: smallBytes / Math.max(1, total),
      color: "#7b8794",
    })
  return out
}
