import { Button, Group, Tabs, Text, Title } from "@mantine/core"
import { IconDeviceFloppy, IconFileCertificate } from "@tabler/icons-react"
import type { TraceResult } from "../../../main/contract/schema/trace.ts"
import { fetchFile } from "../../api/files.ts"
import { showFailure } from "../../ui/confirm.tsx"
import { DataTable, type Column } from "../../ui/data-table.tsx"
import { Digest } from "../../ui/digest.tsx"
import { Facts } from "../../ui/page.tsx"
import { StateBadge, StateIcon, type State } from "../../ui/state.tsx"
import { bytesText, durationText, percentText, plural } from "../../ui/units.ts"
import { chanceText, oddsText } from "./chance.ts"
import { ScorePlot } from "./score-plot.tsx"
import type { TraceRun } from "./trace-run.ts"

const STATES: Readonly<Record<TraceResult["decision"], State>> = {
  "device-named": "attention",
  "owner-proven": "attention",
  "not-proven": "neutral",
  "not-derived": "neutral",
}

export function TraceOutcome({ outcome }: { readonly outcome: NonNullable<TraceRun["outcome"]> }) {
  const { result, report } = outcome
  return (
    <>
      <section className="sw-result" data-state={STATES[result.decision]} aria-label="Verdict">
        <div className="sw-result-head">
          <StateIcon state={STATES[result.decision]} size={36} />
          <div>
            <Title order={2} size="h4" className="sw-wrap">
              {verdictOf(result)}
            </Title>
            <Text size="sm" c="dimmed" className="sw-wrap">
              {result.statement}
            </Text>
            {result.collusion !== null && (
              <Text size="sm" className="sw-wrap">
                {result.collusion.hint}
              </Text>
            )}
          </div>
        </div>
        <Group gap="xs" mt="sm">
          <Button
            leftSection={<IconFileCertificate size={16} aria-hidden />}
            onClick={() => void fetchFile(report, "view", "report.html").catch(showFailure)}
            autoFocus
          >
            Open evidence report
          </Button>
          <Button
            variant="default"
            leftSection={<IconDeviceFloppy size={16} aria-hidden />}
            onClick={() => void fetchFile(report, "save", "report.html").catch(showFailure)}
          >
            Save evidence report
          </Button>
          <Button
            variant="default"
            onClick={() => void fetchFile(report, "save", "report.json").catch(showFailure)}
          >
            Save figures (JSON)
          </Button>
          <Text size="xs" c="dimmed" ml="auto">
            in {durationText(result.seconds)}, against {plural(result.compared, "copy", "copies")} of the
            ledger
          </Text>
        </Group>
      </section>
      <Tabs defaultValue="devices" keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="devices">Devices</Tabs.Tab>
          <Tabs.Tab value="alignment">Alignment</Tabs.Tab>
          <Tabs.Tab value="evidence">Evidence</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="devices" pt="sm">
          <Devices result={result} />
        </Tabs.Panel>
        <Tabs.Panel value="alignment" pt="sm">
          <Alignment alignment={result.alignment} />
        </Tabs.Panel>
        <Tabs.Panel value="evidence" pt="sm">
          <Evidence result={result} />
        </Tabs.Panel>
      </Tabs>
    </>
  )
}

/** The verdict in words, and how sure it is; no more than was proven. */
function verdictOf({ decision, devices, owner, collusion }: TraceResult): string {
  const accused = devices.filter((device) => device.accused)
  switch (decision) {
    case "device-named": {
      const weakest = accused.reduce((most, { log10p }) => Math.max(most, log10p), -Infinity)
      const names = accused
        .slice(0, 3)
        .map(({ device }) => device)
        .join(", ")
      const more = accused.length > 3 ? ` and ${accused.length - 3} more` : ""
      const who =
        collusion === null
          ? `This copy was made for ${names}${more}.`
          : `This was merged from copies made for ${names}${more}.`
      return `${who} The chance that an innocent device looks like this is below ${oddsText(weakest)}.`
    }
    case "owner-proven":
      return `This is your model: the chance that your mark is there by accident is below ${oddsText(owner.log10p)}. Whose copy it was cannot be told.`
    case "not-proven":
      return "Cannot tell: it follows your model, but no mark was found in it."
    case "not-derived":
      return "Cannot tell: this does not follow from your model, or it was changed beyond alignment."
  }
}

const ROW_HEIGHT = 34
const MAX_TABLE = 320

function Devices({ result }: { readonly result: TraceResult }) {
  if (result.devices.length === 0)
    return (
      <Text size="sm" c="dimmed">
        No copies of this model were issued to devices, so nobody can be named.
      </Text>
    )
  return (
    <>
      <ScorePlot result={result} />
      <div
        className="sw-table-box"
        style={{ height: Math.min(MAX_TABLE, (result.devices.length + 1) * ROW_HEIGHT) }}
      >
        <DataTable
          label="Devices, likeliest first"
          rows={result.devices}
          columns={COLUMNS}
          idOf={({ number, mode }) => `${mode}-${number}`}
        />
      </div>
    </>
  )
}

const COLUMNS: readonly Column<TraceResult["devices"][number]>[] = [
  {
    id: "device",
    heading: "Device",
    width: "minmax(140px, 2fr)",
    value: ({ device }) => device,
    cell: ({ device }) => <span title={device}>{device}</span>,
  },
  {
    id: "verdict",
    heading: "Verdict",
    width: "130px",
    value: ({ accused }) => (accused ? 0 : 1),
    cell: ({ accused }) => (
      <StateBadge state={accused ? "refused" : "neutral"}>{accused ? "accused" : "not accused"}</StateBadge>
    ),
  },
  {
    id: "p",
    heading: "Chance if innocent, among all",
    width: "190px",
    align: "end",
    value: ({ log10p }) => log10p,
    cell: ({ log10p }) => chanceText(log10p),
  },
  {
    id: "alone",
    heading: "For it alone",
    width: "110px",
    align: "end",
    value: ({ log10pSingle }) => log10pSingle,
    cell: ({ log10pSingle }) => chanceText(log10pSingle),
  },
  {
    id: "z",
    heading: "Score z",
    width: "80px",
    align: "end",
    value: ({ z }) => z,
    cell: ({ z }) => z.toFixed(1),
  },
  { id: "mode", heading: "Copy", width: "90px", value: ({ mode }) => mode, cell: ({ mode }) => mode },
]

function Alignment({ alignment }: { readonly alignment: TraceResult["alignment"] }) {
  const { cosine, compared, weights, done, unmatched, tensors } = alignment
  return (
    <>
      <Facts
        rows={[
          ["Likeness", `${cosine.toFixed(4)} (1 for a copy, below about 0.1 for a stranger)`],
          ["Compared", `${compared.toLocaleString("en")} of ${weights.toLocaleString("en")} weights`],
          ["Undone", done.length === 0 ? "nothing had to be" : done.join("; ")],
          ["Missing", unmatched.length === 0 ? "nothing" : unmatched.join(", ")],
        ]}
      />
      <div
        className="sw-table-box"
        style={{ height: Math.min(MAX_TABLE, (tensors.length + 1) * ROW_HEIGHT) }}
      >
        <DataTable label="Tensors" rows={tensors} columns={TENSORS} idOf={({ name }) => name} />
      </div>
    </>
  )
}

const TENSORS: readonly Column<TraceResult["alignment"]["tensors"][number]>[] = [
  {
    id: "name",
    heading: "Tensor",
    width: "minmax(140px, 2fr)",
    value: ({ name }) => name,
    cell: ({ name }) => <span title={name}>{name}</span>,
  },
  {
    id: "suspect",
    heading: "In the suspect",
    width: "minmax(140px, 2fr)",
    value: ({ suspect }) => suspect ?? "",
    cell: ({ suspect }) => suspect ?? "no counterpart",
  },
  {
    id: "cosine",
    heading: "Likeness",
    width: "90px",
    align: "end",
    value: ({ cosine }) => cosine,
    cell: ({ cosine }) => cosine.toFixed(4),
  },
  {
    id: "rows",
    heading: "Rows moved, scaled, lost",
    width: "190px",
    align: "end",
    value: ({ movedRows, scaledRows, lostRows }) => movedRows + scaledRows + lostRows,
    cell: ({ movedRows, scaledRows, lostRows }) => `${movedRows}, ${scaledRows}, ${lostRows}`,
  },
]

function Evidence({ result: { evidence, owner, level, tests, tool } }: { readonly result: TraceResult }) {
  const files = (what: string, list: TraceResult["evidence"]["suspect"]) =>
    list.map(
      ({ name, bytes, sha256 }, index) =>
        [
          index === 0 ? what : "",
          <>
            {name}, {bytesText(bytes)} <Digest value={`sha256:${sha256}`} label={`digest of ${name}`} />
          </>,
        ] as const,
    )
  return (
    <Facts
      rows={[
        ...files("Suspect", evidence.suspect),
        ...files("Original", evidence.original),
        [
          "Commitment",
          <Digest key="commitment" value={evidence.commitment} label="commitment to the keys" />,
        ],
        ["Ledger", evidence.ledger],
        [
          "Owner's mark",
          `chance of an accident ${chanceText(owner.log10p)}, over ${owner.carriers.toLocaleString("en")} weights`,
        ],
        [
          "Accepted",
          `${percentText(level, 4)} chance of accusing anybody innocent, over ${tests.toLocaleString("en")} code words`,
        ],
        ["Made by", tool],
      ]}
    />
  )
}
