/** The plugin's half of opening a file: state machine identity-v1 (C2SP age-plugin.md, "Unwrapping with identity-v1"). */
import { AppError } from "../../contract/errors.ts"
import { parsePluginIdentity } from "../../core/age/plugin-identity.ts"
import type { Identity } from "../../core/age/recipient.ts"
import type { Stanza } from "../../core/age/stanza.ts"
import { wipe } from "../../core/bytes/bytes.ts"
import type { KeyStore } from "../ports/keys.ts"
import { readIndex, type Conversation } from "./conversation.ts"

/** The key store of a workspace; `null` means the default one. */
export type OpenKeys = (workspace: string | null) => KeyStore

/** What we can open; stanzas of other types are other people's. */
const TYPES: ReadonlySet<string> = new Set(["X25519", "mlkem768x25519", "p256tag", "mlkem768p256tag"])

/**
 * Opens the files age asks about with the keys its identities name. An identity that cannot be used is reported and nothing
 * is opened; a broken stanza is reported and its file is left alone. At most one key goes out for each file. `release` lets
 * go of the hardware, before the keys go out: age ends this process as soon as it has what it wants.
 */
export async function unwrapFor(
  conversation: Conversation,
  openKeys: OpenKeys,
  release: () => Promise<void>,
): Promise<void> {
  const said = await conversation.listen()
  const identities = await openIdentities(conversation, said, openKeys)
  const opened = new Map<number, Uint8Array>()
  try {
    for (const [file, stanzas] of byFile(said)) {
      const fileKey = identities === null ? null : await unwrapFile(conversation, identities, file, stanzas)
      if (fileKey !== null) opened.set(file, fileKey)
    }
    await release()
    for (const [file, fileKey] of opened) await conversation.say("file-key", [String(file)], fileKey)
    await conversation.end()
  } finally {
    wipe(...opened.values())
  }
}

async function openIdentities(
  conversation: Conversation,
  said: readonly Stanza[],
  openKeys: OpenKeys,
): Promise<readonly Identity[] | null> {
  const identities: Identity[] = []
  const texts = said.filter(({ type }) => type === "add-identity").map(({ args }) => args[0] ?? "")
  for (const [index, text] of texts.entries()) {
    try {
      const { key, workspace } = parsePluginIdentity(text)
      const keys = openKeys(workspace)
      identities.push(await keys.identity(await keys.find(key, "device")))
    } catch (error) {
      await conversation.complain(["identity", String(index)], error)
      return null
    }
  }
  return identities
}

/** The stanzas of every file, in order. Throws AGE_MALFORMED for an index that is none. */
function byFile(said: readonly Stanza[]): ReadonlyMap<number, readonly Stanza[]> {
  const files = new Map<number, Stanza[]>()
  for (const { type, args, body } of said) {
    if (type !== "recipient-stanza") continue
    const [indexText, stanzaType, ...rest] = args
    const file = readIndex(indexText)
    if (file === null || stanzaType === undefined)
      throw new AppError("AGE_MALFORMED", "the client sent a stanza of no file")
    const stanzas = files.get(file) ?? []
    stanzas.push({ type: stanzaType, args: rest, body })
    files.set(file, stanzas)
  }
  return files
}

/** The file's key, which the caller wipes, or `null`. */
async function unwrapFile(
  conversation: Conversation,
  identities: readonly Identity[],
  file: number,
  stanzas: readonly Stanza[],
): Promise<Uint8Array | null> {
  let fileKey: Uint8Array | null = null
  for (const [index, stanza] of stanzas.entries()) {
    if (!TYPES.has(stanza.type)) continue
    try {
      for (const identity of identities) {
        const opened = await identity.unwrap([stanza])
        if (fileKey === null) fileKey = opened
        else wipe(opened)
      }
    } catch (error) {
      wipe(fileKey)
      await conversation.complain(["stanza", String(file), String(index)], error)
      return null
    }
  }
  return fileKey
}
