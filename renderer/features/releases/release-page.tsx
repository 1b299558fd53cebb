import { Button, Group, Menu, Text, Title } from "@mantine/core"
import { IconArrowLeft, IconDots, IconRocket, IconSignature } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import type { Gate, Release } from "../../../main/contract/schema/release.ts"
import type { Trust } from "../../../main/contract/schema/trust.ts"
import { queries } from "../../api/queries.ts"
import { goToNamed } from "../../api/router.ts"
import { ChecksList, type CheckLine } from "../../ui/checks-list.tsx"
import { Digest } from "../../ui/digest.tsx"
import { Facts, Page } from "../../ui/page.tsx"
import { StateBadge } from "../../ui/state.tsx"
import { bytesText, plural } from "../../ui/units.ts"
import { Approvals } from "./approvals.tsx"
import { Changes } from "./changes.tsx"
import { bringApprovals, requestApproval } from "./approve-elsewhere.ts"
import { openApprove } from "./approve.tsx"
import { PendingSignatures } from "./pending.tsx"
import { STATES } from "./release-state.ts"
import { openPublish, openRollback } from "./roll-out.tsx"
import { openRevokePackages } from "./take-back.ts"
import { RingProgress } from "./ring-progress.tsx"

interface Props {
  readonly release: Release
  readonly releases: readonly Release[]
  readonly trust: Trust
}

export function ReleasePage({ release, trust }: Props) {
  const rings = useQuery(queries.rings).data ?? []
  const fleet = useQuery(queries.fleet).data ?? []
  const { name, state, gates, previous, pending } = release
  const isOpen = gates.every((gate) => gate.isOpen)
  return (
    <Page
      title={name}
      subtitle={STATES[state].meaning}
      actions={
        <>
          <Button
            variant="subtle"
            color="gray"
            leftSection={<IconArrowLeft size={16} aria-hidden />}
            onClick={() => goToNamed("releases", null)}
          >
            Releases
          </Button>
          <Button
            variant={isOpen ? "default" : "filled"}
            leftSection={<IconSignature size={16} aria-hidden />}
            onClick={() => openApprove(release, trust)}
            disabled={state === "revoked"}
          >
            Approve…
          </Button>
          <Button
            variant={isOpen ? "filled" : "default"}
            leftSection={<IconRocket size={16} aria-hidden />}
            onClick={() => openPublish(release, rings, fleet)}
            disabled={!isOpen || state === "revoked"}
          >
            {release.rings.length > 0 ? "Promote…" : "Publish…"}
          </Button>
          <Menu position="bottom-end">
            <Menu.Target>
              <Button variant="default" aria-label={`More for ${name}`} px={8}>
                <IconDots size={16} aria-hidden />
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item disabled={state === "revoked"} onClick={() => requestApproval(name)}>
                Ask somebody elsewhere to approve…
              </Menu.Item>
              <Menu.Item disabled={state === "revoked"} onClick={() => bringApprovals(name)}>
                Bring in approvals…
              </Menu.Item>
              <Menu.Item
                disabled={release.counter === null}
                onClick={() => openRollback(release, rings, fleet)}
              >
                Roll a ring back to this…
              </Menu.Item>
              <Menu.Item
                color="red"
                disabled={state === "revoked"}
                onClick={() => openRevokePackages(release, fleet)}
              >
                Revoke…
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </>
      }
    >
      {pending !== null && <PendingSignatures pending={pending} />}
      <section aria-label="Changes">
        <Title order={2} size="h5" mb="xs">
          {previous === null
            ? "What it brings (there is no release before it)"
            : `What changes against ${previous}`}
        </Title>
        <Changes release={release} />
      </section>
      <section aria-label="Gates">
        <Group justify="space-between" mb="xs">
          <Title order={2} size="h5">
            Before it may go out
          </Title>
          <StateBadge state={STATES[state].state}>{state}</StateBadge>
        </Group>
        <ChecksList label="Gates" checks={gates.map(toLine)} />
        <Approvals release={release} trust={trust} />
      </section>
      {release.rings.length > 0 && <RingProgress release={release} fleet={fleet} />}
      <Facts
        rows={[
          ["Counter", release.counter ?? "none until it is published"],
          ["Size", bytesText(release.payloadBytes)],
          ["Devices", <Names key="devices" names={release.devices} />],
          ["Hardware", release.hardwareIds.join(", ")],
          ["Digest", <Digest key="digest" value={release.digest} label="digest of the release" />],
          ...release.packages.map(
            (digest, index) =>
              [
                index === 0 ? "Packages" : "",
                <Digest key={digest} value={digest} label="digest of the package" />,
              ] as const,
          ),
        ]}
      />
    </Page>
  )
}

function Names({ names }: { readonly names: readonly string[] }) {
  if (names.length === 0) return "none that this workspace knows"
  const shown = names.slice(0, 12).join(", ")
  return (
    <Text span size="sm">
      {plural(names.length, "device")}: {shown}
      {names.length > 12 ? " …" : ""}
    </Text>
  )
}

const GATES: Readonly<Record<Gate["gate"], string>> = {
  signatures: "Signed by packagers",
  validation: "Measured, and within its limits",
  approvals: "Approved by people",
}

function toLine({ gate, isOpen, detail }: Gate): CheckLine {
  return {
    id: gate,
    title: GATES[gate],
    state: isOpen ? "verified" : "attention",
    word: isOpen ? "kept" : "not yet",
    reason: detail,
  }
}
