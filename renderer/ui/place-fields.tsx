/** Where in a registry: which connection, which repository, which tag. */
import { Select, TextInput } from "@mantine/core"
import type { Connection, Place } from "../../main/contract/schema/registry.ts"

export interface PlaceChoice {
  readonly host: string | null
  readonly repository: string
  readonly tag: string
}

export function PlaceFields({
  connections,
  value,
  onChange,
  tagLabel,
}: {
  readonly connections: readonly Connection[]
  readonly value: PlaceChoice
  readonly onChange: (value: PlaceChoice) => void
  readonly tagLabel: string
}) {
  return (
    <>
      <Select
        label="Registry"
        data={connections.map(({ host }) => host)}
        value={value.host}
        onChange={(host) => onChange({ ...value, host })}
        required
      />
      <div className="sw-pair">
        <TextInput
          label="Repository"
          placeholder="press/fashion-cnn"
          value={value.repository}
          onChange={(event) => onChange({ ...value, repository: event.currentTarget.value })}
          maxLength={255}
          spellCheck={false}
          required
          data-autofocus
        />
        <TextInput
          label={tagLabel}
          placeholder="1.0"
          value={value.tag}
          onChange={(event) => onChange({ ...value, tag: event.currentTarget.value })}
          maxLength={128}
          spellCheck={false}
          required
        />
      </div>
    </>
  )
}

/** null while something is missing. */
export function placeOf(
  { host, repository, tag }: PlaceChoice,
  connections: readonly Connection[],
): Place | null {
  const connection = connections.find((each) => each.host === host)
  if (connection === undefined || repository.trim() === "" || tag.trim() === "") return null
  return {
    kind: "remote",
    repository: `${connection.host}/${repository.trim()}`,
    plainHttp: connection.plainHttp,
    authority: null,
  }
}

/** A name a repository may have, from the name of a file. */
export function repositoryName(file: string): string {
  return file
    .replace(/\.(seal|onnx|ort)$/i, "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
}
