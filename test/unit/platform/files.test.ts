/** Outputs appear complete or not at all, whoever else writes to the same place. */
import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import path from "node:path"
import { expect, test } from "vitest"
import { localFiles } from "../../../main/platform/files.ts"
import { temporaryFolder } from "../../support/workspace.ts"

const text = (value: string) => new TextEncoder().encode(value)
const options = { replace: false, isSecret: false }

test("a pending file has no name until it is committed, and is whole then", async () => {
  const folder = temporaryFolder()
  const files = localFiles()
  const pending = await files.create(files.refer(path.join(folder, "out")), options)
  await pending.write(5, text("world"))
  await pending.write(0, text("hello"))
  expect(readdirSync(folder).filter((name) => !name.endsWith(".partial"))).toEqual([])
  await pending.commit()
  expect(readdirSync(folder)).toEqual(["out"])
  expect(readFileSync(path.join(folder, "out"), "utf8")).toBe("helloworld")
  await pending.discard()
  expect(readdirSync(folder)).toEqual(["out"])
})

test("a discarded file leaves nothing, however often it is discarded", async () => {
  const folder = temporaryFolder()
  const files = localFiles()
  const pending = await files.create(files.refer(path.join(folder, "out")), options)
  await pending.write(0, text("x"))
  await pending.discard()
  await pending.discard()
  expect(readdirSync(folder)).toEqual([])
})

test("of two writers of one name the second is refused and the first's file stays", async () => {
  const folder = temporaryFolder()
  const files = localFiles()
  const target = files.refer(path.join(folder, "out"))
  const first = await files.create(target, options)
  const second = await files.create(target, options)
  await first.write(0, text("first"))
  await second.write(0, text("second"))
  await first.commit()
  await expect(second.commit()).toFailWithCode("OUTPUT_EXISTS")
  await second.discard()
  expect(readdirSync(folder)).toEqual(["out"])
  expect(readFileSync(path.join(folder, "out"), "utf8")).toBe("first")
})

test("replacing is possible when it was asked for, and never replaces a folder", async () => {
  const folder = temporaryFolder()
  const files = localFiles()
  writeFileSync(path.join(folder, "out"), "old")
  await expect(files.create(files.refer(path.join(folder, "out")), options)).toFailWithCode("OUTPUT_EXISTS")
  const pending = await files.create(files.refer(path.join(folder, "out")), {
    replace: true,
    isSecret: false,
  })
  await pending.write(0, text("new"))
  await pending.commit()
  expect(readFileSync(path.join(folder, "out"), "utf8")).toBe("new")
  mkdirSync(path.join(folder, "dir"))
  await expect(
    files.create(files.refer(path.join(folder, "dir")), { replace: true, isSecret: false }),
  ).toFailWithCode("OUTPUT_UNWRITABLE")
})

test("secret output is readable by its owner alone", async () => {
  const folder = temporaryFolder()
  const files = localFiles()
  const pending = await files.create(files.refer(path.join(folder, "out")), {
    replace: false,
    isSecret: true,
  })
  await pending.commit()
  expect(statSync(path.join(folder, "out")).mode & 0o777).toBe(0o600)
})

test("what a killed writer left is removed by the next, what a living one is writing is not", async () => {
  const folder = temporaryFolder()
  const files = localFiles()
  const gone = spawn("true")
  await new Promise((resolve) => gone.once("exit", resolve))
  writeFileSync(path.join(folder, `.out.${gone.pid}-abc.partial`), "left behind")
  writeFileSync(path.join(folder, `.out.${process.ppid}-abc.partial`), "being written")
  writeFileSync(path.join(folder, ".other.1-abc.partial"), "somebody else's")
  const pending = await files.create(files.refer(path.join(folder, "out")), options)
  await pending.commit()
  expect(readdirSync(folder).sort()).toEqual([
    `.other.1-abc.partial`,
    `.out.${process.ppid}-abc.partial`,
    "out",
  ])
})

test("a file that shrinks or changes while it is read is noticed", async () => {
  const folder = temporaryFolder()
  const files = localFiles()
  writeFileSync(path.join(folder, "in"), "0123456789")
  const file = await files.open(files.refer(path.join(folder, "in")))
  await file.checkUnchanged()
  writeFileSync(path.join(folder, "in"), "01234")
  await expect(file.read(0, 10)).toFailWithCode("FILE_CHANGED")
  await expect(file.checkUnchanged()).toFailWithCode("FILE_CHANGED")
  await file.close()
})

test("beside a model only regular files inside its folder are opened", async () => {
  const folder = temporaryFolder()
  const files = localFiles()
  mkdirSync(path.join(folder, "model", "sub"), { recursive: true })
  writeFileSync(path.join(folder, "outside"), "x")
  writeFileSync(path.join(folder, "model", "sub", "data"), "y")
  symlinkSync("../outside", path.join(folder, "model", "link"))
  symlinkSync("..", path.join(folder, "model", "up"))
  const model = files.refer(path.join(folder, "model", "m.onnx"))
  const data = await files.openBeside(model, "sub/data")
  expect(data.size).toBe(1)
  await data.close()
  await expect(files.openBeside(model, "nothing")).toFailWithCode("ONNX_EXTERNAL_MISSING")
  for (const name of ["link", "up/outside", "sub"])
    await expect(files.openBeside(model, name)).toFailWithCode("ONNX_EXTERNAL_OUTSIDE")
})
