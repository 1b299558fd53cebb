/** Changes of who may sign, and of the rules. What other people have to sign as well then waits for them. */
import { NumberInput, SegmentedControl, Select, Text, TextInput } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import { assuranceSchema, type Assurance } from "../../../main/contract/schema/base.ts"
import {
  roleSchema,
  type ChangeTrust,
  type RoleName,
  type Signer,
  type Trust,
} from "../../../main/contract/schema/trust.ts"
import { connection } from "../../api/connection.ts"
import { queries, refresh } from "../../api/queries.ts"
import { ChooseFile, type ChosenFile } from "../../ui/choose-file.tsx"
import { DialogForm, openDialog } from "../../ui/form-dialog.tsx"
import { GateFields, type Gates } from "./gate-fields.tsx"

interface FormProps {
  readonly trust: Trust
  readonly onClose: () => void
}

async function change(wanted: ChangeTrust): Promise<void> {
  await connection.client.trust.change(wanted)
  await refresh("trust", "releases", "fleet", "log")
}

export function openAddSigner(trust: Trust): void {
  openDialog("Add a key", (close) => <AddSigner trust={trust} onClose={close} />)
}

function AddSigner({ trust, onClose }: FormProps) {
  const keys = (useQuery(queries.keys).data ?? []).filter(
    ({ purpose, algorithm }) => purpose === "signing" && algorithm === "P-256",
  )
  const [role, setRole] = useState<RoleName>("approver")
  const [isHere, setHere] = useState(false)
  const [own, setOwn] = useState<string | null>(null)
  const [person, setPerson] = useState("")
  const [pem, setPem] = useState<ChosenFile | null>(null)
  const [assurance, setAssurance] = useState<Assurance>("software")
  const [threshold, setThreshold] = useState<number | null>(null)
  const now = trust.roles.find((each) => each.role === role)
  const ownKey = own ?? keys[0]?.name ?? null
  const signer = isHere ? ownSigner(ownKey, person) : fileSigner(pem, person, assurance)
  const add = async () => {
    if (signer !== null) await change({ kind: "add-key", role, signer, threshold })
  }
  return (
    <DialogForm verb="Add key" isReady={signer !== null} act={add} onClose={onClose}>
      <Select
        label="Role"
        data={[...roleSchema.options]}
        value={role}
        onChange={(value) => setRole(roleSchema.safeParse(value).data ?? role)}
        allowDeselect={false}
        data-autofocus
      />
      <SegmentedControl
        aria-label="Where the key is"
        value={isHere ? "here" : "file"}
        onChange={(value) => setHere(value === "here")}
        data={[
          { value: "file", label: "Somebody's public key" },
          { value: "here", label: "A key of this workspace" },
        ]}
      />
      {isHere ? (
        <Select label="Key" data={keys.map(({ name }) => name)} value={ownKey} onChange={setOwn} />
      ) : (
        <>
          <div>
            <Text size="sm">Public key, P-256</Text>
            <ChooseFile what="key" accept=".pem,.pub" none="none yet" value={pem} onChange={setPem} />
          </div>
          <Select
            label="How it is kept"
            description="As its owner says: nothing here can show it"
            data={[...assuranceSchema.options]}
            value={assurance}
            onChange={(value) => setAssurance(assuranceSchema.safeParse(value).data ?? assurance)}
            allowDeselect={false}
          />
        </>
      )}
      <TextInput
        label="Person"
        description={isHere ? "Empty: the key's name" : "Who holds it"}
        value={person}
        onChange={(event) => setPerson(event.currentTarget.value)}
        maxLength={64}
        required={!isHere}
      />
      <NumberInput
        label="Signatures the role needs from now on"
        description={now === undefined ? undefined : `Now ${now.threshold} of ${now.keys.length}`}
        min={1}
        max={(now?.keys.length ?? 0) + 1}
        value={threshold ?? now?.threshold ?? 1}
        onChange={(value) => setThreshold(Number(value) || null)}
        allowDecimal={false}
      />
    </DialogForm>
  )
}

function ownSigner(name: string | null, person: string): Signer | null {
  return name === null ? null : { kind: "own", name, person: person.trim() === "" ? null : person.trim() }
}

function fileSigner(pem: ChosenFile | null, person: string, assurance: Assurance): Signer | null {
  if (pem === null || person.trim() === "") return null
  return { kind: "file", file: pem.file, person: person.trim(), assurance }
}

export function openChangeRules(trust: Trust): void {
  openDialog("Change the rules", (close) => <ChangeRules trust={trust} onClose={close} />)
}

function ChangeRules({ trust, onClose }: FormProps) {
  const [gates, setGates] = useState<Gates>(trust.gates ?? { approvals: 1, validation: "any" })
  const [offlineDays, setOfflineDays] = useState(trust.offlineDays ?? 30)
  const save = async () => change({ kind: "rotate", roles: {}, gates, offlineDays })
  return (
    <DialogForm verb="Change" act={save} onClose={onClose}>
      <GateFields gates={gates} onChange={setGates} />
      <NumberInput
        label="Days a device may stay without news"
        description="What it holds expires after that: choose the longest time one is out of reach"
        min={1}
        max={3650}
        value={offlineDays}
        onChange={(value) => setOfflineDays(Number(value) || 1)}
        allowDecimal={false}
      />
    </DialogForm>
  )
}
