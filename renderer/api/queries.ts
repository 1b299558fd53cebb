/** Everything the window reads from the engine, under one name each. */
import { QueryClient, queryOptions } from "@tanstack/react-query"
import type { FileRef } from "../../main/contract/schema/base.ts"
import type { Connection } from "../../main/contract/schema/registry.ts"
import { connection } from "./connection.ts"

export const queryClient = new QueryClient({
  defaultOptions: { queries: { retry: false, refetchOnWindowFocus: false, staleTime: 30_000 } },
})

export const queries = {
  doctor: queryOptions({ queryKey: ["doctor"], queryFn: async () => connection.client.doctor() }),
  levels: queryOptions({ queryKey: ["levels"], queryFn: async () => connection.client.levels() }),
  devices: queryOptions({ queryKey: ["devices"], queryFn: async () => connection.client.devices.list() }),
  keys: queryOptions({ queryKey: ["keys"], queryFn: async () => connection.client.keys.list() }),
  /** A key with the certificates that are kept with it. */
  key: (name: string) =>
    queryOptions({ queryKey: ["keys", name], queryFn: async () => connection.client.keys.show({ name }) }),
  packages: queryOptions({
    queryKey: ["packages"],
    queryFn: async () => connection.client.library.packages(),
  }),
  ledger: queryOptions({ queryKey: ["ledger"], queryFn: async () => connection.client.ledger.status() }),
  trust: queryOptions({ queryKey: ["trust"], queryFn: async () => connection.client.trust.show() }),
  releases: queryOptions({
    queryKey: ["releases"],
    queryFn: async () => connection.client.release.list(),
  }),
  log: queryOptions({
    queryKey: ["log"],
    queryFn: async () => connection.client.log.show(),
    staleTime: 0,
  }),
  rings: queryOptions({ queryKey: ["rings"], queryFn: async () => connection.client.fleet.rings() }),
  fleet: queryOptions({ queryKey: ["fleet"], queryFn: async () => connection.client.fleet.status() }),
  connections: queryOptions({
    queryKey: ["connections"],
    queryFn: async () => connection.client.registry.connections.list(),
    // A login elsewhere is one too, and the list is short.
    staleTime: 0,
  }),
  /** Whether a registry answers. Asked by the Registry screen alone: a window that is merely open sends nothing. */
  health: ({ host, plainHttp, hasAuthority }: Connection) =>
    queryOptions({
      queryKey: ["connection", host, plainHttp, hasAuthority],
      queryFn: async ({ signal }) =>
        connection.client.registry.check({ host, plainHttp, authority: null }, { signal }),
      staleTime: 60_000,
    }),
  queue: queryOptions({
    queryKey: ["queue"],
    queryFn: async () => connection.client.registry.queue.list(),
    refetchInterval: 4000,
  }),
  sample: queryOptions({
    queryKey: ["sample"],
    queryFn: async () => connection.client.library.sample(),
    staleTime: Infinity,
  }),
  engineJobs: queryOptions({
    queryKey: ["jobs"],
    queryFn: async () => connection.client.jobs.list(),
    refetchInterval: 1000,
  }),
  summary: (file: FileRef) =>
    queryOptions({
      queryKey: ["summary", file],
      queryFn: async () => connection.client.inspect({ file }),
      staleTime: Infinity,
    }),
}

/** After a change, and when the engine came back: what is shown may be old. */
export async function refresh(...names: readonly (keyof typeof queries | "jobs")[]): Promise<void> {
  await Promise.all(names.map(async (name) => queryClient.invalidateQueries({ queryKey: [name] })))
}
