import type { ModelSummary, PackageSummary } from "../../contract/schema/inspect.ts"
import type { Register } from "../main.ts"
import { bytesText, safeText, shapeText, shortDigest, table } from "../text.ts"

const SHOWN_TENSORS = 40

export const registerInspect: Register = (program, run) => {
  program
    .command("inspect")
    .argument("<file>", "ONNX model or .seal package")
    .description("what a model or package is, without running or trusting it")
    .addHelpText("after", "\nExample:\n  sealwright inspect model.onnx")
    .action(async (file: string, _options, command) =>
      run(command, async (context) => {
        const summary = await context.engine.inspect({ file: await context.file(file) })
        context.print(summary, () => (summary.kind === "model" ? modelText(summary) : packageText(summary)))
      }),
    )
}

function modelText(model: ModelSummary): string {
  const values = (name: string, list: ModelSummary["inputs"]) =>
    list.map((value) => `  ${name} ${safeText(value.name)}: ${value.type} ${shapeText(value.shape)}`)
  const rows = model.tensors
    .slice(0, SHOWN_TENSORS)
    .map((tensor) => [
      `  ${safeText(tensor.name)}`,
      tensor.type.toLowerCase(),
      shapeText(tensor.shape),
      bytesText(tensor.bytes),
      tensor.storage,
      tensor.mark === null ? "" : tensor.mark.carries ? "yes" : `no: ${safeText(tensor.mark.why ?? "")}`,
    ])
  const more = model.tensors.length - SHOWN_TENSORS
  return [
    `${safeText(model.name)}: ONNX model, ${bytesText(model.bytes)}, ${model.parameters.toLocaleString("en")} parameters`,
    `  IR ${model.irVersion}, ${model.opsets.map(({ domain, version }) => `${safeText(domain)} ${version}`).join(", ")}; made by ${safeText(model.producer) || "unknown"}`,
    ...values("input", model.inputs),
    ...values("output", model.outputs),
    `  ${model.nodes} nodes: ${model.operators.map(({ name, count }) => `${safeText(name)} ${count}`).join(", ")}`,
    ...(model.customDomains.length > 0
      ? [`  custom operators: ${model.customDomains.map(safeText).join(", ")} (cannot be run here)`]
      : []),
    ...(model.signature === null ? [] : [`  ${signatureText(model.signature)}`]),
    ...model.externalFiles.map(({ name, bytes }) => `  external data ${safeText(name)}, ${bytesText(bytes)}`),
    "",
    table([["  TENSOR", "TYPE", "SHAPE", "SIZE", "STORED", "CAN CARRY A MARK"], ...rows]),
    ...(more > 0 ? [`  … and ${more} more (--json lists all)`] : []),
  ].join("\n")
}

function signatureText({ name, by, code, reason }: NonNullable<ModelSummary["signature"]>): string {
  const what = `signature ${safeText(name)}`
  return code === null
    ? `${what} by ${safeText(by ?? "")} holds: ${reason}`
    : `${what} does not hold: ${safeText(reason)} (${code})`
}

function packageText(summary: PackageSummary): string {
  return [
    `${safeText(summary.name)}: sealed package, ${bytesText(summary.bytes)} (nothing here is verified: see sealwright verify)`,
    ...summary.packages.map(
      (part) =>
        `  package ${shortDigest(part.digest)}: payload ${bytesText(part.payloadBytes)} for ${part.recipients.map(safeText).join(", ")}`,
    ),
    ...summary.grants.map(
      (part) =>
        `  grant ${shortDigest(part.digest)}: ${bytesText(part.bytes)} for ${part.recipients.map(safeText).join(", ")}`,
    ),
    ...summary.signatures.map(
      (signature) =>
        `  signature on ${shortDigest(signature.subject)} by key ${signature.keyHint?.slice(0, 16) ?? "(certificate)"}: ${safeText(signature.predicateType)}`,
    ),
  ].join("\n")
}
