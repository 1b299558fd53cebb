/** The tags of a repository, page by page (distribution-spec 1.1, "Listing Tags"). */
import { z } from "zod"
import { AppError } from "../../contract/errors.ts"
import { parseJson } from "../../core/bytes/json.ts"
import type { Answer } from "./http.ts"
import type { RemoteRepository } from "./remote-repository.ts"

const pageSchema = z.looseObject({ tags: z.array(z.string()).nullable().optional() })
const PAGE_TAGS = 1000
const MAX_PAGE_BYTES = 4 << 20
const MAX_TAGS = 1_000_000

export async function listTags(repository: RemoteRepository): Promise<readonly string[]> {
  const tags = new Set<string>()
  let next: string | null = `${repository.at("tags/list")}?n=${PAGE_TAGS}`
  while (next !== null) {
    const { answer, bytes } = await repository.session.document(
      { method: "GET", to: next, scope: repository.scope("pull"), expect: [200, 404] },
      MAX_PAGE_BYTES,
      repository.signal,
    )
    if (answer.status === 404) return []
    const page = pageSchema.safeParse(parseJson(bytes, "the list of tags"))
    if (!page.success) throw new AppError("REGISTRY_MISBEHAVED", "the list of tags is not one")
    const before = tags.size
    for (const tag of page.data.tags ?? []) tags.add(tag)
    if (tags.size > MAX_TAGS) throw new AppError("REGISTRY_TOO_LARGE", `more than ${MAX_TAGS} tags`)
    next = nextPage(answer)
    // A list that leads in circles would never end.
    if (next !== null && tags.size === before)
      throw new AppError("REGISTRY_MISBEHAVED", "the list of tags has pages without tags")
  }
  return [...tags].sort()
}

/** `Link: <…>; rel="next"`, as a path on the same registry. */
export function nextPage(answer: Answer): string | null {
  const target = /<([^>]+)>\s*;[^,]*rel="?next"?/i.exec(answer.header("link") ?? "")?.[1]
  if (target === undefined) return null
  if (!URL.canParse(target, answer.url.href))
    throw new AppError("REGISTRY_MISBEHAVED", "the next page of a list is not an address")
  const url = new URL(target, answer.url)
  if (url.origin !== answer.url.origin)
    throw new AppError("REGISTRY_REDIRECT", "the registry continues a list at another address")
  return `${url.pathname}${url.search}`
}
