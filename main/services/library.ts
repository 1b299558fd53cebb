/** The packages of a workspace: noted when they are made or opened, so that they can be found again. */
import { engineRouter } from "../contract/server.ts"
import type { Protected, ProtectRequest } from "../contract/schema/protect.ts"
import type { Ports } from "./ports.ts"

export function libraryHandlers(ports: Ports) {
  const os = engineRouter.library
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
    sample: os.sample.handler(async () => {
      const { model, data, labels, mean, std } = ports.machine.sample()
      const [modelRef, dataRef, labelsRef] = [
        ports.files.refer(model),
        ports.files.refer(data),
        ports.files.refer(labels),
      ]
      return {
        model: modelRef,
        modelName: ports.files.nameOf(modelRef),
        data: dataRef,
        dataName: ports.files.nameOf(dataRef),
        labels: labelsRef,
        labelsName: ports.files.nameOf(labelsRef),
        normalise: { mean, std },
      }
    }),
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
