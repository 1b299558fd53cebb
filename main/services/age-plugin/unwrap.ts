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
 * is opened; a broken stanza is reported and its file is left alone. At most one key goes out for each file.
 */
export async function unwrapFor(conversation: Conversation, openKeys: OpenKeys): Promise<void> {
  const said = await conversation.listen()
  const identities = await openIdentities(conversation, said, openKeys)
  if (identities !== null) {
    for (const [file, stanzas] of byFile(said)) await unwrapFile(conversation, identities, file, stanzas)
  }
  await conversation.end()
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

async function unwrapFile(
  conversation: Conversation,
  identities: readonly Identity[],
  file: number,
  stanzas: readonly Stanza[],
): Promise<void> {
  let fileKey: Uint8Array | null = null
  try {
    for (const [index, stanza] of stanzas.entries()) {
      if (!TYPES.has(stanza.type)) continue
      try {
        for (const identity of identities) {
          const opened = await identity.unwrap([stanza])
          if (fileKey === null) fileKey = opened
          else wipe(opened)
        }
      } catch (error) {
        await conversation.complain(["stanza", String(file), String(index)], error)
        return
      }
    }
    if (fileKey !== null) await conversation.say("file-key", [String(file)], fileKey)
  } finally {
    wipe(fileKey)
  }
}
