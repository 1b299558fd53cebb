/** The plugin's half of writing a file: state machine recipient-v1 (C2SP age-plugin.md, "Wrapping with recipient-v1"). */
import { AppError } from "../../contract/errors.ts"
import { parsePluginIdentity } from "../../core/age/plugin-identity.ts"
import type { Random, Recipient } from "../../core/age/recipient.ts"
import { checkRecipientsUnmixed, isPostQuantum, parseRecipient } from "../../core/age/recipients.ts"
import type { Stanza } from "../../core/age/stanza.ts"
import { wipe } from "../../core/bytes/bytes.ts"
import type { Conversation } from "./conversation.ts"
import type { OpenKeys } from "./unwrap.ts"

/**
 * Wraps every file key age sends for every recipient: texts (`age1tag1…`, `age1tagpq1…`) and the keys its identities name.
 * One that cannot be used is reported, and then nothing is wrapped.
 */
export async function wrapFor(conversation: Conversation, openKeys: OpenKeys, random: Random): Promise<void> {
  const said = await conversation.listen()
  const fileKeys = said.filter(({ type }) => type === "wrap-file-key").map(({ body }) => body)
  try {
    const recipients = await findRecipients(conversation, said, openKeys)
    if (recipients !== null) await wrapAll(conversation, said, recipients, fileKeys, random)
    await conversation.end()
  } finally {
    wipe(...fileKeys)
  }
}

async function wrapAll(
  conversation: Conversation,
  said: readonly Stanza[],
  recipients: readonly Recipient[],
  fileKeys: readonly Uint8Array[],
  random: Random,
): Promise<void> {
  // A client that knows labels refuses to mix strong recipients with weak ones of other plugins (age's "postquantum").
  const isStrong = recipients.some((recipient) => isPostQuantum(recipient))
  if (isStrong && said.some(({ type }) => type === "extension-labels"))
    await conversation.say("labels", ["postquantum"], new Uint8Array(0))
  for (const [file, fileKey] of fileKeys.entries()) {
    for (const recipient of recipients) {
      const { type, args, body } = recipient.wrap(fileKey, random)
      await conversation.say("recipient-stanza", [String(file), type, ...args], body)
    }
  }
}

/** Every recipient, or `null` after one was reported. */
async function findRecipients(
  conversation: Conversation,
  said: readonly Stanza[],
  openKeys: OpenKeys,
): Promise<readonly Recipient[] | null> {
  const recipients: Recipient[] = []
  const counts = { recipient: 0, identity: 0 }
  for (const { type, args } of said) {
    const kind = type === "add-recipient" ? "recipient" : type === "add-identity" ? "identity" : null
    if (kind === null) continue
    const index = counts[kind]
    counts[kind] += 1
    try {
      const text = args[0] ?? ""
      const recipient = kind === "recipient" ? tagRecipient(text) : await recipientOf(text, openKeys)
      checkRecipientsUnmixed([...recipients, recipient])
      recipients.push(recipient)
    } catch (error) {
      await conversation.complain([kind, String(index)], error)
      return null
    }
  }
  return recipients
}

/** The types other programs know only through a plugin. */
function tagRecipient(text: string): Recipient {
  const recipient = parseRecipient(text)
  if (recipient.type !== "p256tag" && recipient.type !== "mlkem768p256tag")
    throw new AppError("RECIPIENT_INVALID", "this recipient needs no plugin")
  return recipient
}

async function recipientOf(identity: string, openKeys: OpenKeys): Promise<Recipient> {
  const { key, workspace } = parsePluginIdentity(identity)
  const { recipient } = await openKeys(workspace).find(key, "device")
  if (recipient === null) throw new AppError("KEY_PURPOSE", `key ${key} is not a device key`)
  return parseRecipient(recipient)
}
