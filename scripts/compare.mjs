// `pnpm compare ../other`: what a command costs in this checkout and in another one, measured in turn in one run, as this machine's
// noise is larger than what is looked for. Both are built first, by `pnpm build`. For each case it prints the median over the
// rounds of here / there, with quartiles; below 1 this checkout is faster.
//   --rounds 7   --only alone,callers   --modes full,normal,postgres   --millis 1500
// `postgres` needs CARAVEL_TEST_POSTGRES_URL; each process has a schema of its own there.
import { execFileSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { performance } from "node:perf_hooks"
import { pathToFileURL } from "node:url"
import { parseArgs } from "node:util"

const { positionals: [there, child], values } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "7" },
    only: { type: "string", default: "alone,callers" },
    modes: { type: "string", default: "full,normal" },
    millis: { type: "string", default: "1500" }
  }
})
const loads = { alone: 1, callers: 64 }
const commands = ["createRelay", "deactivateRelay"]

const median = (numbers, part = 0.5) => {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
}

/** One process: opens a database with the packages that were built in `root`, and measures each case in it. */
const measure = async (root, mode) => {
  const require = createRequire(join(root, "packages/sql/package.json"))
  const load = (path) => import(pathToFileURL(path))
  const { Context, Effect, Exit, Layer, Redacted, Scope } = await load(
    join(root, "packages/sql/node_modules/effect/dist/esm/index.js")
  )
  const { Command } = await load(join(root, "packages/domain/dist/index.js"))
  const { Postgres, Sqlite } = await load(join(root, "packages/sql/dist/index.js"))
  const folder = mkdtempSync(join(tmpdir(), "caravel-compare-"))
  const scope = await Effect.runPromise(Scope.make())
  const layer = mode === "postgres"
    ? Postgres.layer({ url: Redacted.make(process.env.CARAVEL_TEST_POSTGRES_URL), schema: `compare_${process.pid}` })
    : Sqlite.layer({ filename: join(folder, "caravel.db"), synchronous: mode })
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const command = Context.get(context, Command)
  const tenants = Array.from({ length: 10 }, (_, index) => index.toString(16).repeat(64))
  const ids = Array.from({ length: 2000 }, () => randomUUID())
  await Effect.runPromise(Effect.forEach(tenants, (pubkey) => command.createTenant({ pubkey })))
  await Effect.runPromise(Effect.forEach(
    ids,
    (id, index) => command.createRelay({ id, tenant: tenants[index % 10], subdomain: id }),
    { concurrency: "unbounded" }
  ))
  let issued = 0
  const issue = {
    createRelay: () => {
      const id = randomUUID()
      return command.createRelay({ id, tenant: tenants[issued++ % 10], subdomain: id })
    },
    deactivateRelay: () => command.deactivateRelay({ id: ids[issued++ * 7919 % ids.length] })
  }
  const run = async (name, callers, millis) => {
    const latencies = []
    const until = performance.now() + millis
    const cpu = process.cpuUsage()
    const started = performance.now()
    const caller = Effect.suspend(() => {
      let before = 0
      return Effect.whileLoop({
        while: () => (before = performance.now()) < until,
        body: issue[name],
        step: () => latencies.push(performance.now() - before)
      })
    })
    await Effect.runPromise(Effect.all(Array(callers).fill(caller), { concurrency: "unbounded", discard: true }))
    const { system, user } = process.cpuUsage(cpu)
    return {
      cost: callers === 1 ? median(latencies) * 1000 : (performance.now() - started) / latencies.length * 1000,
      cpu: (user + system) / latencies.length
    }
  }
  const results = {}
  for (const only of values.only.split(",")) {
    for (const name of commands) {
      await run(name, loads[only], Number(values.millis) / 2)
      results[`${mode} ${only} ${name}`] = await run(name, loads[only], Number(values.millis))
    }
  }
  await Effect.runPromise(Scope.close(scope, Exit.void))
  if (mode === "postgres") {
    const client = new (require("pg").Client)({ connectionString: process.env.CARAVEL_TEST_POSTGRES_URL })
    await client.connect()
    await client.query(`DROP SCHEMA IF EXISTS compare_${process.pid} CASCADE`)
    await client.end()
  }
  rmSync(folder, { recursive: true, force: true })
  console.log(JSON.stringify(results))
  process.exit()
}

if (child !== undefined) await measure(there, child)

const roots = { here: resolve(import.meta.dirname, ".."), there: resolve(there ?? "") }
const options = Object.entries(values).flatMap(([name, value]) => [`--${name}`, value])
const samples = new Map()
for (let round = 0; round < Number(values.rounds); round++) {
  for (const mode of values.modes.split(",")) {
    for (const side of round % 2 === 0 ? ["here", "there"] : ["there", "here"]) {
      const answer = execFileSync(process.execPath, [import.meta.filename, roots[side], mode, ...options], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"]
      })
      for (const [name, figures] of Object.entries(JSON.parse(answer))) {
        const sample = samples.get(name) ?? { here: [], there: [] }
        samples.set(name, sample)
        sample[side].push(figures)
      }
    }
  }
  process.stderr.write(`round ${round + 1} of ${values.rounds}\n`)
}

console.log("case                                µs here   there   here/there (quartiles)    CPU here/there")
for (const [name, { here, there }] of samples) {
  const ratios = (figure) => here.map((sample, index) => sample[figure] / there[index][figure])
  const cost = ratios("cost")
  const shown = [median(here.map(({ cost }) => cost)), median(there.map(({ cost }) => cost))].map((value) =>
    value.toFixed(1).padStart(8)
  )
  console.log(
    `${name.padEnd(34)} ${shown.join("")}   ${median(cost).toFixed(3)} (${median(cost, 0.25).toFixed(3)} – ${
      median(cost, 0.75).toFixed(3)
    })   ${median(ratios("cpu")).toFixed(3)}`
  )
}
