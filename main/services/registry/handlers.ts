import { engineRouter } from "../../contract/server.ts"
import { checkTag } from "../../core/oci/reference.ts"
import type { Jobs } from "../jobs.ts"
import type { Ports } from "../ports.ts"
import { addConnection, listConnections, removeConnection } from "./connections.ts"
import { inParallel } from "./in-parallel.ts"
import { pull } from "./pull.ts"
import { push } from "./push.ts"
import { sync } from "./sync.ts"

const TAGS_AT_ONCE = 8

export function registryHandlers(ports: Ports, jobs: Jobs) {
  const os = engineRouter.registry
  return {
    push: os.push.handler(async ({ input, signal }) =>
      jobs.start(`push ${ports.files.nameOf(input.file)}`, async (job) => push(ports, input, job), signal),
    ),
    pull: os.pull.handler(async ({ input, signal }) =>
      jobs.start(
        `pull ${ports.files.nameOf(input.output.file)}`,
        async (job) => pull(ports, input, job),
        signal,
      ),
    ),
    sync: os.sync.handler(async ({ input, signal }) =>
      jobs.start("sync", async (job) => sync(ports, input, job), signal),
    ),
    queue: {
      add: os.queue.add.handler(async ({ input }) => {
        // What can never work is refused now, not when nobody looks.
        ports.registries.open(input.to, new AbortController().signal)
        checkTag(input.tag)
        return ports.pushes.add(input)
      }),
      list: os.queue.list.handler(async () => [...(await ports.pushes.list())]),
      remove: os.queue.remove.handler(async ({ input }) => ports.pushes.remove(input.id)),
    },
    connections: {
      add: os.connections.add.handler(async ({ input }) => addConnection(ports, input)),
      list: os.connections.list.handler(async () => listConnections(ports)),
      remove: os.connections.remove.handler(async ({ input }) => removeConnection(ports, input.host)),
    },
    login: os.login.handler(async ({ input: { username, ...host }, signal }) => ({
      host: host.host,
      username,
      keptBy: await ports.registryAccess.login(host, username, signal ?? new AbortController().signal),
    })),
    logout: os.logout.handler(async ({ input: { host } }) => ({
      host,
      wasLoggedIn: await ports.registryAccess.logout(host),
    })),
    check: os.check.handler(async ({ input, signal }) =>
      ports.registryAccess.check(input, signal ?? new AbortController().signal),
    ),
    list: os.list.handler(async ({ input, signal }) => {
      const repository = ports.registries.open(input.place, signal ?? new AbortController().signal)
      const digests = new Map<string, string>()
      const tags = (await repository.tags()).filter((tag) => !FALLBACK_TAG.test(tag))
      await inParallel(tags, TAGS_AT_ONCE, async (tag) => {
        const digest = await repository.manifestDigest(tag)
        if (digest !== null) digests.set(tag, digest)
      })
      const listed = tags.flatMap((tag) => {
        const digest = digests.get(tag)
        return digest === undefined ? [] : [{ tag, digest }]
      })
      return { repository: repository.name, tags: listed }
    }),
  }
}

const FALLBACK_TAG = /^sha256-[0-9a-f]{64}$/
