/** Approval by people who share no workspace with this one: a file goes out, and a signed answer comes back. */
import { chooseFiles } from "../../api/choose.ts"
import { connection } from "../../api/connection.ts"
import { fetchFile } from "../../api/files.ts"
import { bringIn } from "../../api/intake.ts"
import { refresh } from "../../api/queries.ts"
import { showFailure } from "../../ui/confirm.tsx"

export function requestApproval(name: string): void {
  const request = async () => {
    const { client } = connection
    const { file } = await client.shell.newOutput({
      name: `${name}.approval-request.json`,
      kind: "exchange",
      from: null,
    })
    await client.release.requestApproval({ name, output: { file, replace: false } })
    await fetchFile(file, "save")
  }
  request().catch(showFailure)
}

export function bringApprovals(name: string): void {
  const bring = async () =>
    bringIn(await chooseFiles(".json"), async (answers) => {
      await connection.client.release.attach({ name, bundles: answers.map(({ file }) => file) })
      await refresh("releases")
    })
  bring().catch(showFailure)
}
