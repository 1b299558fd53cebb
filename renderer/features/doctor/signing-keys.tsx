/** The keys that sign here, and the certificates outside authorities gave them. */
import { Menu, Text, Title } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { Key } from "../../../main/contract/schema/keys.ts"
import { queries } from "../../api/queries.ts"
import { Digest } from "../../ui/digest.tsx"
import { MoreMenu } from "../../ui/more-menu.tsx"
import { AssuranceBadge } from "../../ui/state.tsx"
import { dateText } from "../../ui/units.ts"
import { openAttachCertificate, openRequestCertificate } from "./key-certificates.tsx"

const SHOWN = 50

export function SigningKeys() {
  const { data } = useQuery(queries.keys)
  const signing = (data ?? []).filter(({ purpose }) => purpose === "signing")
  if (signing.length === 0) return null
  return (
    <section aria-label="Signing keys">
      <Title order={2} size="h5" mt="md" mb="xs">
        Signing keys
      </Title>
      <ul className="sw-jobs" aria-label="Signing keys">
        {signing.slice(0, SHOWN).map((key) => (
          <KeyLine key={key.name} signing={key} />
        ))}
      </ul>
    </section>
  )
}

function KeyLine({ signing: { name, assurance, fingerprint, algorithm } }: { readonly signing: Key }) {
  const own = useQuery(queries.key(name)).data?.certificates[0]
  return (
    <li>
      <AssuranceBadge level={assurance} />
      <span className="sw-ellipsis sw-job-title">
        {name}
        {own !== undefined && (
          <Text size="xs" c="dimmed" className="sw-ellipsis" title={`${own.subject}\nby ${own.issuer}`}>
            {own.subject}, by {own.issuer}, until {dateText(own.notAfter)}
          </Text>
        )}
      </span>
      <Text span size="xs" c="dimmed">
        {algorithm}
      </Text>
      <Digest value={fingerprint} label={`fingerprint of ${name}`} />
      <MoreMenu name={name}>
        <Menu.Item onClick={() => openRequestCertificate(name)}>Ask for a certificate…</Menu.Item>
        <Menu.Item onClick={() => openAttachCertificate(name)}>Attach a certificate…</Menu.Item>
      </MoreMenu>
    </li>
  )
}
