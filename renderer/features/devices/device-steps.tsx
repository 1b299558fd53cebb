/** The device's end: keys and a request are made here, a challenge is answered, certificates are kept. */
import { Button, Checkbox, Group, Select, Text, TextInput } from "@mantine/core"
import { useEffect, useRef, useState } from "react"
import type { Accepted, Initialised } from "../../../main/contract/schema/enrolment.ts"
import type { KeyPlace } from "../../../main/contract/schema/keys.ts"
import { connection } from "../../api/connection.ts"
import type { SentFile } from "../../api/files.ts"
import { refresh } from "../../api/queries.ts"
import { Digest } from "../../ui/digest.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { AssuranceBadge } from "../../ui/state.tsx"
import { answerPlace, ChooseExchange, ExchangeStep, SaveExchange, type MadeFile } from "./exchange.tsx"

export function DeviceSteps({
  first,
  onClose,
}: {
  readonly first: SentFile | null
  readonly onClose: () => void
}) {
  const [request, setRequest] = useState<{ readonly made: MadeFile; readonly facts: Initialised } | null>(
    null,
  )
  const [response, setResponse] = useState<MadeFile | null>(null)
  const [accepted, setAccepted] = useState<Accepted | null>(null)
  const [error, setError] = useState<unknown>(null)
  const attempt = async (act: () => Promise<void>) => {
    setError(null)
    try {
      await act()
    } catch (failure) {
      setError(failure)
    }
  }
  const init = async (name: string, place: KeyPlace) =>
    attempt(async () => {
      const made = await answerPlace(`${name}.init`, "request", null)
      const facts = await connection.client.enrolment.init({
        name,
        place,
        hardwareId: null,
        request: { file: made.file, replace: false },
      })
      setRequest({ made, facts })
      await refresh("devices", "keys")
    })
  const respond = async (challenge: SentFile) =>
    attempt(async () => {
      const made = await answerPlace(challenge.name, "response", challenge.file)
      await connection.client.enrolment.respond({
        challenge: challenge.file,
        output: { file: made.file, replace: false },
      })
      setResponse(made)
    })
  const accept = async (certificates: SentFile) =>
    attempt(async () => {
      setAccepted(await connection.client.enrolment.accept({ certificates: certificates.file }))
      await refresh("devices")
    })
  const take = async (file: SentFile) => (/\.certificates$/i.test(file.name) ? accept(file) : respond(file))
  const taken = useRef(false)
  useEffect(() => {
    if (first === null || taken.current) return
    taken.current = true
    void take(first)
  })
  const isAnswered = response !== null || accepted !== null
  return (
    <>
      <ol className="sw-steps">
        <ExchangeStep
          number={1}
          title="Make the device's keys and its request"
          state={request !== null || isAnswered ? "done" : "now"}
        >
          {request === null && !isAnswered && <InitForm onInit={init} />}
          {request !== null && (
            <>
              {request.facts.endorsementFingerprint !== null && (
                <Text size="sm" component="div" mb={6}>
                  Fingerprint of this chip, to be read out at the desk:{" "}
                  <Digest value={request.facts.endorsementFingerprint} label="fingerprint of the chip" />
                </Text>
              )}
              <SaveExchange made={request.made} what={request.made.name} />
            </>
          )}
        </ExchangeStep>
        <ExchangeStep
          number={2}
          title="Answer the desk's challenge"
          state={isAnswered ? "done" : request === null ? "waiting" : "now"}
        >
          {response === null ? (
            accepted === null && (
              <ChooseExchange label="Choose challenge…" onFile={(file) => void respond(file)} />
            )
          ) : (
            <SaveExchange made={response} what={response.name} />
          )}
        </ExchangeStep>
        <ExchangeStep
          number={3}
          title="Keep the certificates the desk issued"
          state={accepted !== null ? "done" : response === null ? "waiting" : "now"}
        >
          {accepted === null ? (
            response !== null && (
              <ChooseExchange label="Choose certificates…" onFile={(file) => void accept(file)} />
            )
          ) : (
            <Group gap="xs">
              <span>{accepted.device} is enrolled</span>
              <AssuranceBadge level={accepted.assurance} />
              <Text span size="xs" c="dimmed">
                until {new Date(accepted.notAfter).toLocaleDateString()}
              </Text>
              <Button onClick={onClose}>Done</Button>
            </Group>
          )}
        </ExchangeStep>
      </ol>
      {error !== null && <FailureNotice error={error} />}
    </>
  )
}

const PLACES = ["tpm2", "pkcs11", "keyring", "software"] as const

type Place = KeyPlace["provider"]

function InitForm({ onInit }: { readonly onInit: (name: string, place: KeyPlace) => Promise<void> }) {
  const [name, setName] = useState("")
  const [place, setPlace] = useState<Place>("tpm2")
  const [uri, setUri] = useState("")
  const [isLocked, setLocked] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const isReady = name.trim() !== "" && (place !== "pkcs11" || uri.trim() !== "")
  const init = async () => {
    setBusy(true)
    await onInit(name.trim(), placeOf(place, uri.trim(), isLocked))
    setBusy(false)
  }
  return (
    <form
      className="sw-form"
      onSubmit={(event) => {
        event.preventDefault()
        void init()
      }}
    >
      <div className="sw-halves">
        <TextInput
          label="Name of this device"
          placeholder="press-07"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          maxLength={64}
          required
          data-autofocus
        />
        <Select
          label="Where its keys live"
          data={[
            { value: "tpm2", label: "TPM of this computer" },
            { value: "pkcs11", label: "PKCS#11 token" },
            { value: "keyring", label: "this account's keyring (software only)" },
            { value: "software", label: "a file (software only)" },
          ]}
          value={place}
          onChange={(value) => setPlace(PLACES.find((each) => each === value) ?? "tpm2")}
        />
      </div>
      {place === "pkcs11" ? (
        <TextInput
          label="Token"
          placeholder="pkcs11:token=press-07?module-path=/usr/lib/…so"
          value={uri}
          onChange={(event) => setUri(event.currentTarget.value)}
          spellCheck={false}
          required
        />
      ) : place === "keyring" ? (
        <Text size="xs" c="dimmed">
          The system keeps the key and opens it when this account logs in. It works wherever a keyring runs;
          Doctor says whether one does here.
        </Text>
      ) : (
        <Checkbox
          label={
            place === "tpm2"
              ? "Ask for an authorisation value at every start"
              : "Ask for a passphrase at every start"
          }
          checked={isLocked}
          onChange={(event) => setLocked(event.currentTarget.checked)}
        />
      )}
      <Group justify="flex-end">
        <Button type="submit" loading={isBusy} disabled={!isReady}>
          Make keys and request
        </Button>
      </Group>
    </form>
  )
}

function placeOf(place: Place, uri: string, isLocked: boolean): KeyPlace {
  switch (place) {
    case "tpm2":
      return { provider: "tpm2", tcti: null, adopt: null, persistent: false, auth: isLocked, pcrs: [] }
    case "pkcs11":
      return { provider: "pkcs11", uri, adopt: false }
    case "keyring":
      return { provider: "keyring" }
    case "software":
      return { provider: "software", passphrase: isLocked }
  }
}
