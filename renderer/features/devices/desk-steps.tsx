/** The desk's end: a request is challenged, the answer is judged, certificates go back. */
import { Button, Checkbox, Group, Text, TextInput } from "@mantine/core"
import { useEffect, useRef, useState } from "react"
import type { FileRef } from "../../../main/contract/schema/base.ts"
import type { Enrolled } from "../../../main/contract/schema/enrolment.ts"
import { connection } from "../../api/connection.ts"
import type { SentFile } from "../../api/files.ts"
import { refresh } from "../../api/queries.ts"
import { ChooseFile, type ChosenFile } from "../../ui/choose-file.tsx"
import { FailureNotice } from "../../ui/failure-notice.tsx"
import { JudgedChecks } from "../../ui/judged-checks.tsx"
import { AssuranceBadge } from "../../ui/state.tsx"
import { dateText } from "../../ui/units.ts"
import { answerPlace, ChooseExchange, ExchangeStep, SaveExchange } from "./exchange.tsx"

interface Judged {
  readonly from: SentFile
  readonly result: Enrolled
  /** Where the challenge or the certificates are. */
  readonly output: FileRef
}

interface Vouching {
  readonly approve: string
  readonly allowUnattested: boolean
}

export function DeskSteps({
  first,
  onClose,
}: {
  readonly first: SentFile | null
  readonly onClose: () => void
}) {
  const [judged, setJudged] = useState<Judged | null>(null)
  const [error, setError] = useState<unknown>(null)
  const [roots, setRoots] = useState<ChosenFile | null>(null)
  const judge = async (
    from: SentFile,
    { approve, allowUnattested }: Vouching = { approve: "", allowUnattested: false },
  ) => {
    setError(null)
    try {
      const ending = /\.response$/i.test(from.name) ? "certificates" : "challenge"
      const output = await answerPlace(from.name, ending, from.file)
      const result = await connection.client.enrolment.enrol({
        file: from.file,
        output: { file: output.file, replace: false },
        roots: roots?.file ?? null,
        approve: approve === "" ? null : approve,
        allowUnattested,
      })
      setJudged({ from, result, output: output.file })
      if (result.kind === "enrolled") await refresh("devices", "keys", "fleet")
    } catch (failure) {
      setError(failure)
    }
  }
  const taken = useRef(false)
  useEffect(() => {
    if (first === null || taken.current) return
    taken.current = true
    void judge(first)
  })
  const kind = judged?.result.kind ?? null
  const isChallenged = kind === "challenged"
  const isEnrolled = kind === "enrolled"
  const onFile = (file: SentFile) => void judge(file)
  return (
    <>
      <ol className="sw-steps">
        <ExchangeStep
          number={1}
          title="Bring the device's request"
          state={isChallenged || isEnrolled ? "done" : "now"}
        >
          {!isChallenged && !isEnrolled && (
            <>
              <Text size="sm" c="dimmed" mb={6}>
                It is made there: in this window under "This computer is the device", or with{" "}
                <code className="sw-code">sealwright device init press-07 -o press-07.request</code>
              </Text>
              <ChooseExchange label="Choose request…" onFile={onFile} />
            </>
          )}
        </ExchangeStep>
        <ExchangeStep
          number={2}
          title="Carry the challenge to the device, and its answer back"
          state={isChallenged ? "now" : isEnrolled ? "done" : "waiting"}
        >
          {isChallenged && judged?.result.kind === "challenged" && (
            <>
              <Text size="sm" c="dimmed" mb={6}>
                {judged.result.device} has until {dateText(judged.result.expiresAt)} to answer it.
              </Text>
              <Group gap="xs">
                <SaveExchange
                  made={{ file: judged.output, name: judged.result.file }}
                  what={judged.result.file}
                />
                <ChooseExchange label="Choose response…" onFile={onFile} />
              </Group>
            </>
          )}
        </ExchangeStep>
        <ExchangeStep
          number={3}
          title="Carry the certificates to the device"
          state={isEnrolled ? "now" : "waiting"}
        >
          {judged?.result.kind === "enrolled" && (
            <>
              <div className="sw-line">
                <span>{judged.result.device.name} is enrolled</span>
                <AssuranceBadge level={judged.result.device.assurance} />
              </div>
              <Group gap="xs" mt={6}>
                <SaveExchange
                  made={{ file: judged.output, name: judged.result.file }}
                  what={judged.result.file}
                />
                <Button onClick={onClose}>Done</Button>
              </Group>
            </>
          )}
        </ExchangeStep>
      </ol>
      <div>
        <Text size="sm">Roots of TPM makers</Text>
        <ChooseFile
          what="certificates"
          accept=".pem,.crt"
          none="none: a chip is known by its fingerprint alone"
          value={roots}
          onChange={setRoots}
        />
      </div>
      {error !== null && <FailureNotice error={error} />}
      {judged !== null && <JudgedChecks checks={judged.result.checks} />}
      {judged?.result.kind === "refused" && (
        <Vouch
          checks={judged.result.checks}
          hasRoots={roots !== null}
          onVouch={(vouching) => void judge(judged.from, vouching)}
        />
      )}
    </>
  )
}

/** A chip nobody vouches for: the operator may, by its fingerprint, or may take it at a lower level. */
function Vouch({
  checks,
  hasRoots,
  onVouch,
}: {
  readonly checks: Enrolled["checks"]
  /** With the roots of its maker the chip may be known after all. */
  readonly hasRoots: boolean
  readonly onVouch: (vouching: Vouching) => void
}) {
  const [approve, setApprove] = useState("")
  const [allowUnattested, setAllowed] = useState(false)
  const isAboutHardware = checks.some(({ id, result }) => id === "endorsement" && result === "failed")
  if (!isAboutHardware) return null
  const isWhole = /^[0-9a-f]{64}$/.test(approve.trim().toLowerCase())
  return (
    <form
      className="sw-form"
      onSubmit={(event) => {
        event.preventDefault()
        onVouch({ approve: isWhole ? approve.trim().toLowerCase() : "", allowUnattested })
      }}
    >
      <TextInput
        label="Fingerprint of the chip, read off the device itself"
        description="64 digits as the device shows them. Copying them from the check above would prove nothing."
        value={approve}
        onChange={(event) => setApprove(event.currentTarget.value)}
        maxLength={64}
        spellCheck={false}
      />
      <Checkbox
        label="Take it without proof, at level hardware"
        checked={allowUnattested}
        onChange={(event) => setAllowed(event.currentTarget.checked)}
      />
      <Group justify="flex-end">
        <Button type="submit" disabled={!isWhole && !allowUnattested && !hasRoots}>
          Judge again
        </Button>
      </Group>
    </form>
  )
}
