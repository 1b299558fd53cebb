import { binOf } from "../../core/policy/device-id.ts"
import type { MetadataSource } from "../../core/tuf/client.ts"

/** The two TUF repositories a device follows. */
export interface Repositories {
  readonly image: MetadataSource
  readonly director: MetadataSource
}

/** Both behind one carrier, whose documents have the names of FORMAT 10.6; `read` gives a document by such a name, null when there is none. */
export function repositoriesIn(read: MetadataSource["read"], deviceId: string): Repositories {
  return {
    image: {
      read: async (name, maxBytes) => read(SHARED.test(name) ? name : `image/${name}`, maxBytes),
    },
    director: {
      read: async (name, maxBytes) =>
        read(ROOT.test(name) ? `director/${name}` : `devices/${binOf(deviceId)}/${name}`, maxBytes),
    },
  }
}

/** Names that say by themselves what they are of. */
const SHARED = /^(?:targets|log)\//

/** Roots are shared by all devices. */
const ROOT = /^\d+\.root\.json$/
