/** Releases: what may go out, to whom it went, and who says so. */
import { Button, Tabs } from "@mantine/core"
import { IconPlus, IconRocket, IconSignature } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import type { Release } from "../../../main/contract/schema/release.ts"
import type { Trust } from "../../../main/contract/schema/trust.ts"
import { queries } from "../../api/queries.ts"
import { goToNamed } from "../../api/router.ts"
import { DataTable, type Column } from "../../ui/data-table.tsx"
import { Empty } from "../../ui/empty.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { Page } from "../../ui/page.tsx"
import { StateBadge } from "../../ui/state.tsx"
import { agoText, bytesText, dateText, plural } from "../../ui/units.ts"
import { openNewRelease } from "./new-release.tsx"
import { PendingSignatures } from "./pending.tsx"
import { ReleasePage } from "./release-page.tsx"
import { STATES } from "./release-state.ts"
import { Rings } from "./rings.tsx"
import { openSignRequest } from "./sign-request.tsx"
import { openSetUp } from "./set-up.tsx"
import { Signers } from "./signers.tsx"

export function ReleasesScreen({ name }: { readonly name: string | null }) {
  const trust = useQuery(queries.trust)
  const releases = useQuery({ ...queries.releases, enabled: hasRoots(trust.data) })
  const error = trust.error ?? releases.error
  if (error !== null)
    return (
      <Page title="Releases">
        <FailureNotice
          error={error}
          onRetry={() => void Promise.all([trust.refetch(), releases.refetch()])}
        />
      </Page>
    )
  if (trust.data === undefined) return <Page title="Releases">{null}</Page>
  if (trust.data.roots === null) return <NoTrust trust={trust.data} />
  if (releases.data === undefined) return <Page title="Releases">{null}</Page>
  const open = releases.data.find((each) => each.name === name)
  return open === undefined ? (
    <ReleaseList trust={trust.data} releases={releases.data} />
  ) : (
    <ReleasePage key={open.name} release={open} releases={releases.data} trust={trust.data} />
  )
}

function hasRoots(trust: Trust | undefined): boolean {
  return trust !== undefined && trust.roots !== null
}

function NoTrust({ trust }: { readonly trust: Trust }) {
  return (
    <Page title="Releases">
      {trust.pending === null ? (
        <Empty
          icon={<IconRocket size={36} stroke={1.4} aria-hidden />}
          title="Nobody may release anything yet"
          action={
            <>
              <Button onClick={openSetUp}>Say who may release…</Button>
              <Button variant="default" onClick={openSignRequest}>
                Sign a request…
              </Button>
            </>
          }
        >
          A trust root says whose keys approve and sign releases. Devices are given it once and then take
          nothing else. Start with your own key; more people and stricter rules can follow.
        </Empty>
      ) : (
        <PendingSignatures pending={trust.pending} />
      )}
    </Page>
  )
}

function ReleaseList({ trust, releases }: { readonly trust: Trust; readonly releases: readonly Release[] }) {
  const newestFirst = releases.toReversed()
  return (
    <Page
      title="Releases"
      subtitle={plural(releases.length, "release")}
      isFilled
      actions={
        <>
          <Button
            variant="default"
            leftSection={<IconSignature size={16} aria-hidden />}
            onClick={openSignRequest}
          >
            Sign a request…
          </Button>
          <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={openNewRelease}>
            New release…
          </Button>
        </>
      }
    >
      <Tabs defaultValue="releases" className="sw-tabs" keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="releases">Releases</Tabs.Tab>
          <Tabs.Tab value="rings">Rings</Tabs.Tab>
          <Tabs.Tab value="signers">Who may sign</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="releases" className="sw-fill">
          {trust.pending !== null && <PendingSignatures pending={trust.pending} />}
          {releases.length === 0 ? (
            <Empty
              icon={<IconRocket size={36} stroke={1.4} aria-hidden />}
              title="No release yet"
              action={<Button onClick={openNewRelease}>New release…</Button>}
            >
              A release is one or more packages under a name that is approved, then published to a ring of
              devices.
            </Empty>
          ) : (
            <DataTable
              label="Releases"
              rows={newestFirst}
              columns={COLUMNS}
              idOf={({ name }) => name}
              onOpen={({ name }) => goToNamed("releases", name)}
            />
          )}
        </Tabs.Panel>
        <Tabs.Panel value="rings" className="sw-scroll" tabIndex={0}>
          <Rings />
        </Tabs.Panel>
        <Tabs.Panel value="signers" className="sw-scroll" tabIndex={0}>
          {trust.pending !== null && <PendingSignatures pending={trust.pending} />}
          <Signers trust={trust} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  )
}

const COLUMNS: readonly Column<Release>[] = [
  {
    id: "name",
    heading: "Name",
    width: "minmax(140px, 2fr)",
    value: ({ name }) => name,
    cell: ({ name }) => <span title={name}>{name}</span>,
  },
  {
    id: "state",
    heading: "State",
    width: "120px",
    value: ({ state }) => state,
    cell: ({ state }) => <StateBadge state={STATES[state].state}>{state}</StateBadge>,
  },
  {
    id: "approvals",
    heading: "Approvals",
    width: "minmax(110px, 1fr)",
    value: ({ gates }) => gates.find(({ gate }) => gate === "approvals")?.detail ?? "",
    cell: ({ gates }) => gates.find(({ gate }) => gate === "approvals")?.detail ?? "",
  },
  {
    id: "rings",
    heading: "Rings",
    width: "minmax(110px, 1fr)",
    value: ({ rings }) => rings.join(", "),
    cell: ({ rings }) => (rings.length === 0 ? "–" : rings.join(", ")),
  },
  {
    id: "counter",
    heading: "Counter",
    width: "70px",
    align: "end",
    value: ({ counter }) => counter ?? 0,
    cell: ({ counter }) => counter ?? "–",
  },
  {
    id: "size",
    heading: "Size",
    width: "90px",
    align: "end",
    value: ({ payloadBytes }) => payloadBytes,
    cell: ({ payloadBytes }) => bytesText(payloadBytes),
  },
  {
    id: "made",
    heading: "Made",
    width: "130px",
    value: ({ createdAt }) => createdAt,
    cell: ({ createdAt }) => <span title={dateText(createdAt)}>{agoText(createdAt)}</span>,
  },
]
