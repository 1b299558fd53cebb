/** What a file is: a model or a package, told by its content. */
import type { FileRef } from "../contract/schema/base.ts"
import type { ModelSummary, PackageSummary, Summary } from "../contract/schema/inspect.ts"
import { readBundle } from "../core/attest/bundle.ts"
import { readStatement } from "../core/attest/statement.ts"
import { readModelIndex, type ModelIndex } from "../core/onnx/model-index.ts"
import { readSealFile, type SealPart } from "../core/oci/seal-file.ts"
import { isTar } from "../core/oci/tar.ts"
import { findLayerWeights } from "../core/watermark/weights.ts"
import { measureModel, modelFiles } from "./mark/model-weights.ts"
import { openModel, type OpenModel } from "./model-input.ts"
import { findModelSignature } from "./model-signed.ts"
import { recipientTypes } from "./package-access.ts"
import type { OpenFile, Ports } from "./ports.ts"

export async function inspect(ports: Ports, ref: FileRef): Promise<Summary> {
  const file = await ports.files.open(ref)
  try {
    const isPackage = file.size >= 512 && isTar(await file.read(0, 512))
    return isPackage ? await summarisePackage(file) : await summariseModel(ports, ref)
  } finally {
    await file.close()
  }
}

async function summariseModel(ports: Ports, ref: FileRef): Promise<ModelSummary> {
  const model = await openModel(ports.files, ref)
  try {
    const { index, files, bytes } = model
    const marks = await findMarks(model)
    return {
      kind: "model",
      name: files[0]?.name ?? "",
      bytes,
      irVersion: index.irVersion,
      producer: `${index.producerName} ${index.producerVersion}`.trim(),
      opsets: index.operatorSets.map(({ domain, version }) => ({
        domain: domain === "" ? "ai.onnx" : domain,
        version,
      })),
      inputs: index.inputs.map(toValueInfo),
      outputs: index.outputs.map(toValueInfo),
      nodes: index.nodeCount,
      operators: index.operators.map(({ opType, domain, count }) => ({
        name: domain === "" || domain === "ai.onnx" ? opType : `${domain}:${opType}`,
        count,
      })),
      customDomains: [...index.customDomains],
      parameters: index.parameterCount,
      tensors: index.tensors.map((tensor) => ({
        name: tensor.name,
        path: tensor.path,
        type: tensor.dataType,
        shape: [...tensor.dims],
        bytes: tensor.byteLength,
        storage: tensor.storage.kind,
        mark: marks.get(`${tensor.path}\n${tensor.name}`) ?? null,
      })),
      externalFiles: files.slice(1).map(({ name, file }) => ({ name, bytes: file.size })),
      signature: await findModelSignature(ports, ref, model),
    }
  } finally {
    await model.close()
  }
}

/** Up to this size a model's weights are looked at; of larger ones only the graph is, as for everything else here. */
const MAX_MEASURED_BYTES = 64 << 20

/** What can carry a mark and what cannot, by path and name. */
async function findMarks(
  model: OpenModel,
): Promise<ReadonlyMap<string, { readonly carries: boolean; readonly why: string | null }>> {
  const marks = new Map<string, { readonly carries: boolean; readonly why: string | null }>()
  const { carriers, skipped } =
    model.bytes <= MAX_MEASURED_BYTES ? await measuredCarriers(model) : await likelyCarriers(model)
  for (const { path, name } of carriers) marks.set(`${path}\n${name}`, { carries: true, why: null })
  for (const { tensor, why } of skipped) marks.set(`${tensor.path}\n${tensor.name}`, { carries: false, why })
  return marks
}

async function measuredCarriers(model: OpenModel) {
  const { tensors, skipped } = await measureModel(model)
  return { carriers: tensors.flatMap(({ places }) => places.map(({ tensor }) => tensor)), skipped }
}

async function likelyCarriers(model: OpenModel) {
  const { weights, skipped } = findLayerWeights(
    await readModelIndex(modelFiles(model)(null), { nodes: true }),
  )
  return { carriers: weights.map(({ tensor }) => tensor), skipped }
}

function toValueInfo({ name, type }: ModelIndex["inputs"][number]): ModelSummary["inputs"][number] {
  if (type.kind !== "tensor") return { name, type: type.kind, shape: null }
  return { name, type: type.elementType.toLowerCase(), shape: type.shape === null ? null : [...type.shape] }
}

/** What anybody can see. Nothing here is verified, and nothing here tells what the model is. */
async function summarisePackage(file: OpenFile): Promise<PackageSummary> {
  const { packages, grants, bundles } = await readSealFile(file)
  const describe = async (part: SealPart) => ({
    digest: part.digest,
    bytes: part.layer.size,
    recipients: [...(await recipientTypes(file, part))],
  })
  return {
    kind: "package",
    name: file.name,
    bytes: file.size,
    packages: await Promise.all(
      packages.map(async (part) => {
        const { digest, recipients, bytes } = await describe(part)
        return { digest, recipients, payloadBytes: bytes }
      }),
    ),
    grants: await Promise.all(grants.map(describe)),
    signatures: bundles.map((attached) => {
      const bundle = readBundle(attached.bytes)
      const statement = readStatement(bundle.envelope.payload)
      return {
        subject: attached.subject,
        predicateType: statement.predicateType,
        keyHint: bundle.signer.kind === "key" ? bundle.signer.hint : null,
        statement: statement.predicate,
      }
    }),
  }
}
