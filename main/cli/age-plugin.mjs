#!/usr/bin/env node
// Installed as age-plugin-sealwright, age-plugin-tag and age-plugin-tagpq: age finds its plugins by those names.
import { start } from "./start.mjs"

await start(import.meta.url, async () => import("./age-plugin.ts"))
