import { defineConfig } from "vitest/config"

const large = process.env["SEALWRIGHT_LARGE_TESTS"] === "1"

export default defineConfig({
  test: {
    include: large ? ["test/**/*.large.test.ts"] : ["test/**/*.test.ts"],
    exclude: large ? [] : ["test/**/*.large.test.ts"],
    setupFiles: ["test/support/matchers.ts"],
    pool: "forks",
    // Most suites wait for processes of their own; one worker (the default on two cores) would leave a core idle.
    maxWorkers: 2,
    // Real peers on a busy machine miss a limit now and then. test/run.ts names every test that needed its second try.
    retry: 1,
    testTimeout: large ? 900_000 : 60_000,
    hookTimeout: 60_000,
  },
})
