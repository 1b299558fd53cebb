/** The first trust root, from keys of this workspace: one person is enough to begin with. */
import { Checkbox, Select, Text } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import type { Key } from "../../../main/contract/schema/keys.ts"
import type { RolesRequest, Signer } from "../../../main/contract/schema/trust.ts"
import { connection } from "../../api/connection.ts"
import { queries, refresh } from "../../api/queries.ts"
import { DialogForm, openDialog } from "../../ui/form-dialog.tsx"
import { GateFields, type Gates } from "./gate-fields.tsx"

export function openSetUp(): void {
  openDialog("Who may release", (close) => <SetUp onClose={close} />)
}

/** Names of the keys that are made when there are none to choose. */
const PERSON = "release-manager"
const DESK = "desk"
const NEW = "\u0000new"

function SetUp({ onClose }: { readonly onClose: () => void }) {
  const keys = (useQuery(queries.keys).data ?? []).filter(
    ({ purpose, algorithm }) => purpose === "signing" && algorithm === "P-256",
  )
  const [chosen, setChosen] = useState<string>(NEW)
  const [hasPassphrase, setPassphrase] = useState(true)
  const [gates, setGates] = useState<Gates>({ approvals: 1, validation: "any" })
  const begin = async () => {
    const { client } = connection
    const person = chosen === NEW ? await ensureKey(keys, PERSON, hasPassphrase) : chosen
    const desk = await ensureKey(keys, DESK, false)
    const packagers = keys.filter(({ name }) => name !== DESK).map(({ name }) => own(name))
    await client.trust.init({
      roles: rolesOf(own(person), packagers.length === 0 ? [own(person)] : packagers, own(desk)),
      gates,
      offlineDays: 30,
    })
    await refresh("trust", "releases", "keys")
  }
  return (
    <DialogForm verb="Begin" act={begin} onClose={onClose}>
      <Select
        label="Your key"
        description="Owns the trust root, signs releases and approves them"
        data={[
          { value: NEW, label: `a new key, ${PERSON}` },
          ...keys.map(({ name, assurance }) => ({ value: name, label: `${name} (${assurance})` })),
        ]}
        value={chosen}
        onChange={(value) => setChosen(value ?? NEW)}
        data-autofocus
      />
      {chosen === NEW && (
        <Checkbox
          label="Under a passphrase"
          checked={hasPassphrase}
          onChange={(event) => setPassphrase(event.currentTarget.checked)}
        />
      )}
      <GateFields gates={gates} onChange={setGates} />
      <Text size="xs" c="dimmed">
        A key named {DESK} is made besides: it tells devices what to run, without a person. Keys that signed
        packages here stay packagers.
      </Text>
    </DialogForm>
  )
}

async function ensureKey(keys: readonly Key[], name: string, passphrase: boolean): Promise<string> {
  if (!keys.some((key) => key.name === name))
    await connection.client.keys.create({
      name,
      purpose: "signing",
      place: { provider: "software", passphrase },
    })
  return name
}

function own(name: string): Signer {
  return { kind: "own", name, person: null }
}

function rolesOf(person: Signer, packagers: Signer[], desk: Signer): RolesRequest {
  const role = (signers: Signer[]) => ({ signers, threshold: 1, assurance: null })
  return {
    root: role([person]),
    "release-manager": role([person]),
    approver: role([person]),
    packager: role(packagers),
    online: role([desk]),
    director: role([desk]),
  }
}
