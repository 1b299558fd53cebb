import { pluginIdentityText } from "../../core/age/plugin-identity.ts"
import type { KeyStore } from "../ports/keys.ts"

/** The text of an identity file for a device key: what age's `-i` wants. Throws KEY_NOT_FOUND. Holds no secret. */
export async function identityFile(keys: KeyStore, name: string, workspace: string | null): Promise<string> {
  const key = await keys.find(name, "device")
  return [
    `# device key ${key.name} (${key.assurance})`,
    `# recipient: ${key.recipient ?? ""}`,
    pluginIdentityText({ key: key.name, workspace }),
    "",
  ].join("\n")
}
