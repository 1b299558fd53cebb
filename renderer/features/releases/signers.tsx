/** Who may say what, as the signed trust root has it. */
import { ActionIcon, Button, Group, Text } from "@mantine/core"
import { IconTrash } from "@tabler/icons-react"
import type { RoleName, Trust } from "../../../main/contract/schema/trust.ts"
import { Digest } from "../../ui/digest.tsx"
import { Facts } from "../../ui/page.tsx"
import { AssuranceBadge } from "../../ui/state.tsx"
import { dateText } from "../../ui/units.ts"
import { openAddSigner, openChangeRules } from "./change-trust.tsx"
import { openRevokeKey } from "./take-back.ts"

const ROLES: Readonly<Record<RoleName, string>> = {
  root: "says who has which role",
  "release-manager": "signs what may go out",
  approver: "approves a release",
  packager: "signs packages and measurements",
  auditor: "signs measurements",
  online: "keeps the lists fresh, without a person",
  director: "tells devices what to run, without a person",
}

export function Signers({ trust }: { readonly trust: Trust }) {
  const { roots, gates, offlineDays, freshUntil } = trust
  return (
    <>
      <Group gap="xs" justify="flex-end" mb="xs">
        <Button size="compact-sm" variant="default" onClick={() => openChangeRules(trust)}>
          Change the rules…
        </Button>
        <Button size="compact-sm" variant="default" onClick={() => openAddSigner(trust)}>
          Add a key…
        </Button>
      </Group>
      <table className="sw-values">
        <thead>
          <tr>
            <th scope="col">Role</th>
            <th scope="col">Keys</th>
            <th scope="col">Signatures needed</th>
            <th scope="col">At least</th>
          </tr>
        </thead>
        <tbody>
          {trust.roles.map(({ role, threshold, assurance, keys }) => (
            <tr key={role}>
              <th scope="row">
                {role}
                <Text size="xs" c="dimmed">
                  {ROLES[role]}
                </Text>
              </th>
              <td>
                {keys.length === 0 && "nobody"}
                {keys.map(({ keyId, person, here }) => (
                  <div key={keyId} className="sw-line">
                    <span title={keyId}>{person}</span>
                    {here !== null && (
                      <Text span size="xs" c="dimmed">
                        key {here}, here
                      </Text>
                    )}
                    <ActionIcon
                      variant="subtle"
                      color="gray"
                      size="xs"
                      aria-label={`Revoke the key of ${person} (${role})`}
                      onClick={() => openRevokeKey(keyId, person)}
                    >
                      <IconTrash size={12} aria-hidden />
                    </ActionIcon>
                  </div>
                ))}
              </td>
              <td className="sw-numbers">{keys.length === 0 ? "–" : `${threshold} of ${keys.length}`}</td>
              <td>
                <AssuranceBadge level={assurance} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Facts
        rows={[
          ["Approvals", gates === null ? "–" : `${gates.approvals} needed`],
          [
            "Measurements",
            gates === null
              ? "–"
              : { all: "of every package", any: "of one package", none: "not needed" }[gates.validation],
          ],
          ["Without news", `devices run on for ${offlineDays ?? 0} days`],
          ["Fresh until", freshUntil === null ? "–" : dateText(freshUntil)],
          ...(roots === null
            ? []
            : ([
                [
                  "Image root",
                  <Digest key="image" value={roots.image.sha256} label="digest of the image root" />,
                ],
                [
                  "Director root",
                  <Digest key="director" value={roots.director.sha256} label="digest of the director root" />,
                ],
              ] as const)),
        ]}
      />
    </>
  )
}
