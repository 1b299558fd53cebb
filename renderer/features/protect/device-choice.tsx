import { Button, Checkbox, Group, SegmentedControl, Text, TextInput } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useMemo, useRef } from "react"
import type { Mode } from "../../../main/contract/schema/base.ts"
import type { Device } from "../../../main/contract/schema/keys.ts"
import { queries } from "../../api/queries.ts"
import { useSearch } from "../../ui/search.ts"
import { AssuranceBadge } from "../../ui/state.tsx"
import { bytesText, plural } from "../../ui/units.ts"
import { useWindowOfRows } from "../../ui/window-of-rows.ts"
import { THIS_COMPUTER } from "./defaults.ts"

interface Props {
  readonly devices: readonly Device[]
  readonly chosen: readonly string[]
  readonly onChoose: (names: readonly string[]) => void
  readonly mode: Mode
  readonly onMode: (mode: Mode) => void
  readonly modelBytes: number
}

const ROW_HEIGHT = 30
const MAX_HEIGHT = 180

export function DeviceChoice({ devices, chosen, onChoose, mode, onMode, modelBytes }: Props) {
  const { text, setText, found } = useSearch<Listed>(devices.length === 0 ? NEW_DEVICE : devices, wordsOf)
  const selected = useMemo(() => new Set(chosen), [chosen])
  const isAll = found.length > 0 && found.every(({ name }) => selected.has(name))
  const toggleAll = () => {
    const names = new Set(found.map(({ name }) => name))
    onChoose(isAll ? chosen.filter((name) => !names.has(name)) : [...new Set([...chosen, ...names])])
  }
  return (
    <div className="sw-columns">
      <div>
        <Group gap="sm" mb={6} wrap="nowrap">
          <TextInput
            aria-label="Find devices"
            placeholder={`Find among ${plural(found.length, "device")}`}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            style={{ flex: 1 }}
          />
          <Checkbox label="All shown" checked={isAll} onChange={toggleAll} />
        </Group>
        <RingChoice devices={devices} onChoose={onChoose} />
        <DeviceRows found={found} selected={selected} chosen={chosen} onChoose={onChoose} />
        <Text size="xs" c="dimmed" mt={4}>
          {plural(chosen.length, "device")} chosen
        </Text>
      </div>
      <ModeChoice mode={mode} onMode={onMode} count={chosen.length} modelBytes={modelBytes} />
    </div>
  )
}

const RINGS_SHOWN = 8

/** The devices of a ring at one click, where the workspace has rings. */
function RingChoice({ devices, onChoose }: Pick<Props, "devices" | "onChoose">) {
  const rings = useQuery(queries.rings).data ?? []
  if (rings.length === 0) return null
  const known = new Set(devices.map(({ name }) => name))
  return (
    <Group gap={6} mb={6} role="group" aria-label="Rings">
      {rings.slice(0, RINGS_SHOWN).map((ring) => (
        <Button
          key={ring.name}
          size="compact-xs"
          variant="default"
          onClick={() => onChoose(ring.devices.filter((name) => known.has(name)))}
        >
          Ring {ring.name}, {plural(ring.devices.length, "device")}
        </Button>
      ))}
    </Group>
  )
}

type Listed = Pick<Device, "name" | "assurance" | "holdsKey">

const NEW_DEVICE: readonly Listed[] = [{ name: THIS_COMPUTER, assurance: "software", holdsKey: true }]

function wordsOf({ name }: Listed): readonly string[] {
  return [name]
}

interface RowsProps extends Pick<Props, "chosen" | "onChoose"> {
  readonly found: readonly Listed[]
  readonly selected: ReadonlySet<string>
}

function DeviceRows({ found, selected, chosen, onChoose }: RowsProps) {
  const scroller = useRef<HTMLDivElement>(null)
  const virtual = useWindowOfRows({ scroller, count: found.length, height: ROW_HEIGHT, spare: 4 })
  const toggle = (name: string) =>
    onChoose(selected.has(name) ? chosen.filter((each) => each !== name) : [...chosen, name])
  return (
    <div
      ref={scroller}
      className="sw-list"
      style={{ height: Math.min(MAX_HEIGHT, Math.max(1, found.length) * ROW_HEIGHT + 2) }}
      role="group"
      aria-label="Devices"
      tabIndex={found.length * ROW_HEIGHT > MAX_HEIGHT ? 0 : undefined}
    >
      <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const device = found[index]
          if (device === undefined) return null
          return (
            <div
              key={device.name}
              className="sw-list-row"
              style={{ transform: `translateY(${start}px)`, height: ROW_HEIGHT }}
            >
              <Checkbox
                label={device.name}
                checked={selected.has(device.name)}
                onChange={() => toggle(device.name)}
                className="sw-ellipsis"
              />
              <Text span size="xs" c="dimmed">
                {device.holdsKey ? "key here" : "key on the device"}
              </Text>
              <AssuranceBadge level={device.assurance} />
            </div>
          )
        })}
      </div>
    </div>
  )
}

function ModeChoice({
  mode,
  onMode,
  count,
  modelBytes,
}: Pick<Props, "mode" | "onMode" | "modelBytes"> & { readonly count: number }) {
  const size = mode === "individual" ? modelBytes * Math.max(1, count) : modelBytes
  return (
    <div>
      <SegmentedControl
        aria-label="Mode"
        value={mode}
        onChange={(value) => onMode(value === "fleet" ? "fleet" : "individual")}
        data={[
          { value: "individual", label: "A copy for each device" },
          { value: "fleet", label: "One copy for the fleet" },
        ]}
      />
      <Text size="sm" mt={8}>
        {mode === "individual"
          ? "Every device gets a payload of its own. Strongest; the file grows with the number of devices."
          : "All devices share one payload; each gets a small grant. Withdrawing one device means a new release."}
      </Text>
      <Text size="sm" c="dimmed" mt={4}>
        About {bytesText(size)} on disk.
      </Text>
    </div>
  )
}
