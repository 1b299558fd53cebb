/** The engine needs a passphrase or PIN: which one, what for, and what to know before answering. */
import { Alert, Button, Group, Modal, PasswordInput, Text } from "@mantine/core"
import { IconKey } from "@tabler/icons-react"
import { useState, type FormEvent } from "react"
import type { WaitingQuestion } from "../../main/contract/schema/prompts.ts"
import { answerQuestion, questions } from "../api/prompts.ts"
import { useStore } from "../api/store.ts"
import { showFailure } from "../ui/confirm.tsx"

const WHAT: Readonly<Record<WaitingQuestion["kind"], string>> = {
  passphrase: "Passphrase",
  password: "Password",
  pin: "PIN",
  auth: "Authorisation value",
}

export function PromptDialog() {
  const [question] = useStore(questions)
  const leave = () => {
    if (question !== undefined) void answerQuestion(question.id, null).catch(showFailure)
  }
  return (
    <Modal
      opened={question !== undefined}
      onClose={leave}
      title={question === undefined ? "" : titleOf(question)}
      closeButtonProps={{ "aria-label": "Close" }}
      zIndex={500}
    >
      {question !== undefined && <AnswerForm key={question.id} question={question} onLeave={leave} />}
    </Modal>
  )
}

function titleOf({ kind, isNew }: WaitingQuestion): string {
  const what = kind === "pin" ? WHAT.pin : WHAT[kind].toLowerCase()
  return isNew ? `Choose a ${what}` : `${WHAT[kind]} needed`
}

/** What is typed lives in this form alone and goes with it. */
function AnswerForm({
  question: { id, kind, subject, notice, isNew },
  onLeave,
}: {
  readonly question: WaitingQuestion
  readonly onLeave: () => void
}) {
  const [answer, setAnswer] = useState("")
  const [again, setAgain] = useState("")
  const differs = isNew && again !== "" && again !== answer
  const isReady = answer !== "" && (!isNew || again === answer)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (isReady) void answerQuestion(id, answer).catch(showFailure)
  }
  return (
    <form onSubmit={submit} className="sw-form" autoComplete="off">
      <Text size="sm" className="sw-wrap">
        {isNew ? "For" : "To use"} {subject}.
      </Text>
      {notice !== null && (
        <Alert
          variant="outline"
          color="yellow"
          icon={<IconKey size={16} aria-hidden />}
          className="sw-notice"
        >
          {notice}
        </Alert>
      )}
      <PasswordInput
        label={WHAT[kind]}
        value={answer}
        onChange={(event) => setAnswer(event.currentTarget.value)}
        autoComplete="off"
        spellCheck={false}
        maxLength={512}
        visibilityToggleButtonProps={{ "aria-label": "Show what is typed" }}
        data-autofocus
        required
      />
      {isNew && (
        <PasswordInput
          label="The same again"
          value={again}
          onChange={(event) => setAgain(event.currentTarget.value)}
          autoComplete="off"
          spellCheck={false}
          maxLength={512}
          error={differs ? "The two differ" : null}
          visibilityToggleButtonProps={{ "aria-label": "Show what is typed again" }}
          required
        />
      )}
      <Text size="xs" c="dimmed">
        It goes straight to the engine on this computer. This window keeps nothing of it.
      </Text>
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={onLeave}>
          Cancel
        </Button>
        <Button type="submit" disabled={!isReady}>
          {isNew ? "Choose it" : "Continue"}
        </Button>
      </Group>
    </form>
  )
}
