/** The packages of a workspace: noted when they are made or opened, so that they can be found again. */
import { fileRefSchema } from "../contract/schema/base.ts"
import type { Sample } from "../contract/schema/library.ts"
import { engineRouter } from "../contract/server.ts"
import type { Protected, ProtectRequest } from "../contract/schema/protect.ts"
import type { Ports } from "./ports.ts"

export function libraryHandlers(ports: Ports) {
  const os = engineRouter.library
  const sample = referSample(ports)
  return {
    packages: os.packages.handler(async () => {
      const entries = await ports.library.list()
      return entries.toSorted((a, b) => b.addedAt.localeCompare(a.addedAt) || a.name.localeCompare(b.name))
    }),
    remember: os.remember.handler(async ({ input }) =>
      ports.library.remember(input.file, {
        origin: "opened",
        model: null,
        devices: [],
        mode: null,
        signedBy: null,
        digests: [],
        addedAt: ports.now().toISOString(),
      }),
    ),
    forget: os.forget.handler(async ({ input }) => ports.library.forget(input.file)),
    sample: os.sample.handler(async () => sample),
  }
}

/** The references are the same in every engine, so that a window can go on after one ended. */
function referSample(ports: Ports): Sample {
  const { model, data, labels, mean, std } = ports.machine.sample()
  const refer = (path: string, name: string) => {
    const file = ports.files.refer(path, fileRefSchema.parse(name))
    return { file, name: ports.files.nameOf(file) }
  }
  const files = {
    model: refer(model, "sample-model"),
    data: refer(data, "sample-data"),
    labels: refer(labels, "sample-labels"),
  }
  return {
    model: files.model.file,
    modelName: files.model.name,
    data: files.data.file,
    dataName: files.data.name,
    labels: files.labels.file,
    labelsName: files.labels.name,
    normalise: { mean, std },
  }
}

/** Notes a package that was just made. A list that cannot be written is no reason to call a finished package failed. */
export async function rememberMade(
  ports: Ports,
  request: ProtectRequest,
  made: Protected,
): Promise<Protected> {
  try {
    await ports.library.remember(request.output.file, {
      origin: "made",
      model: ports.files.nameOf(request.model),
      devices: made.devices,
      mode: made.mode,
      signedBy: made.signedBy.key,
      digests: made.packages.map(({ digest }) => digest),
      addedAt: ports.now().toISOString(),
    })
  } catch (error) {
    ports.reportFault(error)
  }
  return made
}
