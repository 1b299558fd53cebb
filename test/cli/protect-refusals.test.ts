/** Input that cannot be protected: a typed refusal with its hint and exit status, nothing written, inputs untouched. */
import { execFileSync, spawnSync } from "node:child_process"
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import path from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { exitCodeFor, hintFor, type ErrorCode } from "../../main/contract/errors.ts"
import { writeLargeModel } from "../support/large-model.ts"
import { cli, cliJson, cliRefusal, MODELS, ROOT, sharedFolder } from "../support/workspace.ts"

const folder = sharedFolder()
const workspace = ["--workspace", path.join(folder, "workspace")]

beforeAll(async () => {
  await cliJson(["keys", "create", "release-1", ...workspace])
  await cliJson(["device", "add", "press-07", "--software", ...workspace])
})

/** A fresh folder below the suite's. */
function place(name: string): string {
  const made = path.join(folder, name)
  mkdirSync(made, { recursive: true })
  return made
}

/** Protects `model` and expects this refusal; the folder of the model must be as it was. */
async function expectRefusal(model: string, code: ErrorCode): Promise<void> {
  const before = snapshot(path.dirname(model))
  const out = place(`out-${path.basename(path.dirname(model))}`)
  const refusal = await cliRefusal([
    "protect",
    model,
    "--no-mark",
    "--device",
    "press-07",
    "-o",
    path.join(out, "x.seal"),
    ...workspace,
  ])
  expect(refusal).toMatchObject({
    code,
    status: exitCodeFor(code),
    exitCode: exitCodeFor(code),
    hint: hintFor(code),
  })
  expect(refusal.message.length).toBeGreaterThan(5)
  expect(readdirSync(out)).toEqual([])
  expect(snapshot(path.dirname(model))).toEqual(before)
}

function snapshot(dir: string): readonly string[] {
  return readdirSync(dir).map((name) => {
    const { size, mtimeMs } = statSync(path.join(dir, name), { throwIfNoEntry: false }) ?? {
      size: -1,
      mtimeMs: 0,
    }
    return `${name} ${size} ${mtimeMs}`
  })
}

describe("protect refuses", () => {
  test("a file that is not there", async () => {
    await expectRefusal(path.join(place("nothing"), "model.onnx"), "FILE_NOT_FOUND")
  })

  test("a folder and a named pipe", async () => {
    const inner = path.join(place("folder"), "model.onnx")
    mkdirSync(inner)
    await expectRefusal(inner, "FILE_NOT_REGULAR")
    const pipe = path.join(place("pipe"), "model.onnx")
    execFileSync("mkfifo", [pipe])
    await expectRefusal(pipe, "FILE_NOT_REGULAR")
  })

  test("an empty file", async () => {
    const model = path.join(place("empty"), "model.onnx")
    writeFileSync(model, "")
    await expectRefusal(model, "ONNX_EMPTY")
  })

  test("a file that is not ONNX", async () => {
    const model = path.join(place("text"), "model.onnx")
    writeFileSync(model, "This is not a model, whatever its name says.\n".repeat(100))
    await expectRefusal(model, "ONNX_NOT_A_MODEL")
  })

  test("a truncated model", async () => {
    const model = path.join(place("truncated"), "model.onnx")
    cpSync(path.join(MODELS, "fashion-cnn.onnx"), model)
    truncateSync(model, 200_000)
    await expectRefusal(model, "ONNX_TRUNCATED")
  })

  test("external data that is missing", async () => {
    const model = path.join(place("missing"), "fashion-cnn-external.onnx")
    cpSync(path.join(MODELS, "fashion-cnn-external.onnx"), model)
    await expectRefusal(model, "ONNX_EXTERNAL_MISSING")
  })

  test("external data that is too short", async () => {
    const model = path.join(place("short"), "fashion-cnn-external.onnx")
    cpSync(path.join(MODELS, "fashion-cnn-external.onnx"), model)
    writeFileSync(path.join(path.dirname(model), "fashion-cnn-external.bin"), Buffer.alloc(1000))
    await expectRefusal(model, "ONNX_EXTERNAL_SHORT")
  })

  test.each(["../outside/weights-20-chars.b", "/tmp/absolute-path-24-ch"])(
    "external data at %s",
    async (location) => {
      const model = path.join(place(`location-${location.length}`), "model.onnx")
      writeFileSync(model, withLocation(location))
      writeFileSync(path.join(place("outside"), "weights-20-chars.b"), Buffer.alloc(400_000))
      await expectRefusal(model, "ONNX_EXTERNAL_OUTSIDE")
    },
  )

  test("external data behind a link, and behind a linked folder", async () => {
    const linked = path.join(place("linked"), "fashion-cnn-external.onnx")
    cpSync(path.join(MODELS, "fashion-cnn-external.onnx"), linked)
    symlinkSync(
      path.join(MODELS, "fashion-cnn-external.bin"),
      path.join(path.dirname(linked), "fashion-cnn-external.bin"),
    )
    await expectRefusal(linked, "ONNX_EXTERNAL_OUTSIDE")

    const model = path.join(place("linked-folder"), "model.onnx")
    const location = "sub/fashion-cnn-external"
    writeFileSync(model, withLocation(location))
    cpSync(
      path.join(MODELS, "fashion-cnn-external.bin"),
      path.join(place("elsewhere"), "fashion-cnn-external"),
    )
    symlinkSync(path.join(folder, "elsewhere"), path.join(path.dirname(model), "sub"))
    await expectRefusal(model, "ONNX_EXTERNAL_OUTSIDE")
  })

  test("a device nobody knows", async () => {
    const refusal = await cliRefusal([
      "protect",
      path.join(MODELS, "digits-mlp.onnx"),
      "--no-mark",
      "--device",
      "press-99",
      "-o",
      path.join(folder, "n.seal"),
      ...workspace,
    ])
    expect(refusal).toMatchObject({ code: "DEVICE_NOT_FOUND", status: 5 })
  })

  test("an output that exists, unless told to replace it", async () => {
    const out = path.join(place("exists"), "x.seal")
    writeFileSync(out, "precious")
    const args = [
      "protect",
      path.join(MODELS, "digits-mlp.onnx"),
      "--no-mark",
      "--device",
      "press-07",
      "-o",
      out,
      ...workspace,
    ]
    expect(await cliRefusal(args)).toMatchObject({ code: "OUTPUT_EXISTS", status: 8 })
    expect(readFileSync(out, "utf8")).toBe("precious")
    await cliJson([...args, "--force"])
    expect(statSync(out).size).toBeGreaterThan(10_000)
  })

  test("a key that cannot sign, and a choice that was not made", async () => {
    const base = [
      "protect",
      path.join(MODELS, "digits-mlp.onnx"),
      "--no-mark",
      "--device",
      "press-07",
      "-o",
      path.join(folder, "k.seal"),
      ...workspace,
    ]
    expect(await cliRefusal([...base, "--sign", "nobody"])).toMatchObject({ code: "KEY_NOT_FOUND" })
    await cliJson(["keys", "create", "release-2", ...workspace])
    expect(await cliRefusal(base)).toMatchObject({ code: "USAGE", status: 2 })
    await cliJson(["keys", "remove", "release-2", ...workspace])
  })

  test("names that are not valid UTF-8", () => {
    const model = Buffer.concat([
      Buffer.from(`${place("latin1")}/mod`),
      Buffer.of(0xe9),
      Buffer.from("le.onnx"),
    ])
    cpSync(path.join(MODELS, "digits-mlp.onnx"), path.join(folder, "digits.onnx"))
    // A shell can pass bytes that Node's own spawn cannot.
    const script = Buffer.concat([
      Buffer.from(`cp '${path.join(folder, "digits.onnx")}' '`),
      model,
      Buffer.from(`' && exec '${process.execPath}' '${path.join(ROOT, "main/cli/bin.mjs")}' protect '`),
      model,
      Buffer.from(
        `' --device press-07 --json -o '${path.join(folder, "latin1.seal")}' --workspace '${path.join(folder, "workspace")}'\n`,
      ),
    ])
    const result = spawnSync("sh", { input: script, encoding: "utf8" })
    expect(result.status).toBe(4)
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: "PATH_NOT_UTF8" } })
  })

  test("mixed post-quantum and classic recipients", async () => {
    const { generatePq } = await import("../../main/core/age/mlkem768x25519.ts")
    const strong = generatePq((size) => new Uint8Array(size).fill(7))
    await cliJson(["device", "add", "strong", "--recipient", strong.recipient, ...workspace])
    const args = [
      "protect",
      path.join(MODELS, "digits-mlp.onnx"),
      "--no-mark",
      "--device",
      "press-07",
      "strong",
      "-o",
      path.join(folder, "m.seal"),
      ...workspace,
    ]
    expect(await cliRefusal(args)).toMatchObject({ code: "RECIPIENTS_MIXED", status: 4 })
  })
})

describe("protect on a volume", () => {
  /** Runs the CLI in a mount namespace of its own, with `volume` mounted as told; prints what is left in it. */
  function onVolume(volume: string, mountOptions: string, after: string, model: string) {
    const unshare = process.getuid?.() === 0 ? ["-m"] : ["-rm"]
    const script = `mount -t tmpfs -o ${mountOptions} tmpfs "$1" || exit 99; ${after}
      "$2" "$3" protect "$4" --no-mark --device press-07 --json -o "$1/x.seal" --workspace "$5"; status=$?; ls -A "$1" >&2; exit $status`
    return spawnSync(
      "unshare",
      [
        ...unshare,
        "sh",
        "-c",
        script,
        "sh",
        volume,
        process.execPath,
        path.join(ROOT, "main/cli/bin.mjs"),
        model,
        path.join(folder, "workspace"),
      ],
      { encoding: "utf8" },
    )
  }

  test("without space leaves nothing behind", async () => {
    const model = path.join(place("space"), "large.onnx")
    writeLargeModel(model, { megabytes: 8 })
    const result = onVolume(place("full"), "size=4m", ":", model)
    expect(result.status).toBe(exitCodeFor("NO_SPACE"))
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: "NO_SPACE" } })
    expect(result.stderr).not.toContain("x.seal")
    expect(result.stderr).not.toContain("partial")
  })

  test("that is read-only says so", () => {
    const result = onVolume(
      place("readonly"),
      "size=4m",
      'mount -o remount,ro "$1";',
      path.join(MODELS, "digits-mlp.onnx"),
    )
    expect(result.status).toBe(exitCodeFor("OUTPUT_UNWRITABLE"))
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: "OUTPUT_UNWRITABLE" } })
  })
})

describe("Ctrl-C", () => {
  test("in the middle of protect ends with status 130 and no output", async () => {
    const model = path.join(place("interrupt"), "large.onnx")
    writeLargeModel(model, { megabytes: 400 })
    const out = place("interrupt-out")
    const args = [
      "protect",
      model,
      "--no-mark",
      "--device",
      "press-07",
      "-o",
      path.join(out, "x.seal"),
      ...workspace,
    ]
    const result = await cli(args, {
      onStderr: (text, kill) => {
        if (text.includes("encrypt")) kill("SIGINT")
      },
    })
    expect(result.status).toBe(130)
    expect(result.stderr).toContain("[CANCELLED]")
    expect(readdirSync(out)).toEqual([])
  })
})

/** fashion-cnn-external.onnx with another location of the same length in front; the rest of the model is as it was. */
function withLocation(location: string): Buffer {
  const model = readFileSync(path.join(MODELS, "fashion-cnn-external.onnx"))
  const original = Buffer.from("fashion-cnn-external.bin")
  const wanted = Buffer.from(location.padEnd(original.length, "x").slice(0, original.length))
  const changed = Buffer.from(model)
  for (let at = changed.indexOf(original); at >= 0; at = changed.indexOf(original, at + 1))
    wanted.copy(changed, at)
  return changed
}
