import { CopyButton, Tooltip, UnstyledButton, VisuallyHidden } from "@mantine/core"

/** A digest or key, shortened in the middle as people compare them; a click copies all of it. */
export function Digest({ value, label }: { readonly value: string; readonly label: string }) {
  const short = value.length <= 26 ? value : `${value.slice(0, 15)}…${value.slice(-8)}`
  return (
    <CopyButton value={value}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : value} multiline maw={420}>
          <UnstyledButton onClick={copy} className="sw-digest">
            <VisuallyHidden>Copy {label}: </VisuallyHidden>
            {copied ? "copied" : short}
          </UnstyledButton>
        </Tooltip>
      )}
    </CopyButton>
  )
}
