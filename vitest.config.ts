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
    // A wait that ran out on a busy machine gets a second try, which test/run.ts names. What was found wrong does not.
    retry: { count: 1, condition: /tim(ed|e) ?out|did not succeed in time/i },
    testTimeout: large ? 900_000 : 60_000,
    hookTimeout: 60_000,
  },
})
