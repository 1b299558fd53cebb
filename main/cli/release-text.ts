/** A release as a terminal shows it: gates, and everything that differs from the one before. */
import type { Change, Release } from "../contract/schema/release.ts"
import { rulesOf } from "./policy-text.ts"
import { bytesText, safeText, shortDigest } from "./text.ts"

/** Also of a request that came from anywhere: no text of it reaches the terminal as it is. */
export function releaseText(release: Release): string {
  return [
    `${safeText(release.name)}: ${release.state}, ${release.packages.length} package(s), ${bytesText(release.payloadBytes)}, for ${release.devices.length} device(s)`,
    `  ${safeText(release.digest)}${release.counter === null ? "" : `, counter ${release.counter}`}`,
    ...packageLines(release.packages),
    ...release.gates.map(
      ({ gate, isOpen, detail }) => `  ${isOpen ? "open  " : "CLOSED"} ${gate}: ${safeText(detail)}`,
    ),
    release.previous === null ? "  the first release" : `  against ${safeText(release.previous)}:`,
    ...release.changes.flatMap(changeLines),
  ].join("\n")
}

/** In full: `release revoke package` asks for them. */
function packageLines(packages: readonly string[]): readonly string[] {
  const left = packages.length - MOST_LISTED
  return [
    ...packages.slice(0, MOST_LISTED).map((digest) => `  package ${safeText(digest)}`),
    ...(left > 0 ? [`  and ${left} more packages, all of them with --json`] : []),
  ]
}

const MOST_LISTED = 8

function changeLines({ what, before, after }: Change): readonly string[] {
  if (what === "policy") return policyLines(before, after)
  if (what === "devices") return listLines(what, before, after)
  return [`    ${safeText(what)}: ${shortText(before) || "–"} → ${shortText(after) || "–"}`]
}

/** Who comes and who goes: two long lists beside each other show nobody what changed. */
function listLines(what: string, before: string, after: string): readonly string[] {
  const [old, now] = [before, after].map((text) => text.split(", ").filter((name) => name !== ""))
  const added = now?.filter((name) => old?.includes(name) === false) ?? []
  const gone = old?.filter((name) => now?.includes(name) === false) ?? []
  return [
    ...(added.length > 0 ? [`    ${what}: + ${shortText(added.join(", "))}`] : []),
    ...(gone.length > 0 ? [`    ${what}: - ${shortText(gone.join(", "))}`] : []),
  ]
}

/** Only the rules that differ, each by its name. */
function policyLines(before: string, after: string): readonly string[] {
  const [old, now] = [rulesOf(before), rulesOf(after)]
  if (old === null || now === null)
    return [`    policy: ${safeText(before) || "–"}`, `         → ${safeText(after) || "–"}`]
  const names = [...new Set([...old.keys(), ...now.keys()])]
  return names
    .filter((name) => old.get(name) !== now.get(name))
    .map((name) => `    policy ${name}: ${old.get(name) ?? "–"} → ${now.get(name) ?? "–"}`)
}

function shortText(text: string): string {
  const parts = text.split(", ")
  const listed = safeText(parts.slice(0, MOST_LISTED).map(shortDigest).join(", "))
  return parts.length > MOST_LISTED ? `${listed} and ${parts.length - MOST_LISTED} more` : listed
}
