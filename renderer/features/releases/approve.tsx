/** Approving: which key speaks, and what it says. A key behind a PIN or passphrase asks for it next. */
import { Select, Text } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import type { Key } from "../../../main/contract/schema/keys.ts"
import type { Release } from "../../../main/contract/schema/release.ts"
import type { Trust } from "../../../main/contract/schema/trust.ts"
import { connection } from "../../api/connection.ts"
import { queries, refresh } from "../../api/queries.ts"
import { DialogForm, openDialog } from "../../ui/form-dialog.tsx"
import { AssuranceBadge } from "../../ui/state.tsx"

export function openApprove(release: Release, trust: Trust): void {
  openDialog(`Approve ${release.name}`, (close) => (
    <Approve release={release} trust={trust} onClose={close} />
  ))
}

const NEXT: Readonly<Record<Key["unlock"], string>> = {
  nothing: "This key needs nothing more.",
  passphrase: "Its passphrase is asked for next.",
  pin: "The token's PIN is asked for next.",
  auth: "Its authorisation value is asked for next.",
}

function Approve({
  release,
  trust,
  onClose,
}: {
  readonly release: Release
  readonly trust: Trust
  readonly onClose: () => void
}) {
  const keys = (useQuery(queries.keys).data ?? []).filter(({ purpose }) => purpose === "signing")
  const approvers = trust.roles.find(({ role }) => role === "approver")?.keys ?? []
  const mayApprove = (name: string) => approvers.some(({ here }) => here === name)
  const sorted = keys.toSorted((a, b) => Number(mayApprove(b.name)) - Number(mayApprove(a.name)))
  const [chosen, setChosen] = useState<string | null>(null)
  const key = sorted.find(({ name }) => name === chosen) ?? sorted[0]
  const approve = async () => {
    if (key === undefined) return
    await connection.client.release.approve({ name: release.name, key: key.name, digest: release.digest })
    await refresh("releases")
  }
  return (
    <DialogForm verb="Approve" isReady={key !== undefined} act={approve} onClose={onClose}>
      <Text size="sm">
        You sign that {release.name}, with exactly these packages, may go out.{" "}
        {release.previous === null
          ? "There is no release before it to compare with."
          : `Read what changes against ${release.previous} first.`}
      </Text>
      <Select
        label="Key"
        data={sorted.map(({ name }) => ({
          value: name,
          label: mayApprove(name) ? `${name} (approver)` : name,
        }))}
        value={key?.name ?? null}
        onChange={setChosen}
        data-autofocus
      />
      {key !== undefined && (
        <div className="sw-line">
          <AssuranceBadge level={key.assurance} />
          <Text span size="xs" c="dimmed">
            {NEXT[key.unlock]}
          </Text>
        </div>
      )}
    </DialogForm>
  )
}
