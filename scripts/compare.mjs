// `pnpm compare ../other`: what a command costs in this checkout and in another one. Both are built first (`pnpm build`). A process of
// each opens a database, and the two run in turn, a slice of time each, as this machine's noise is larger than what is looked for: a
// slice is compared with the one beside it. Prints the median of these ratios, here / there, with their quartiles; below 1 this
// checkout is faster. The cost of a lone command is the median of its slice; that of 64 callers is the slice divided by its commands.
//   --modes full,normal,postgres   --loads alone,callers   --pairs 40   --slice 150
// `postgres` needs CARAVEL_TEST_POSTGRES_URL; each side has a schema of its own there, which is dropped.
import { fork } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { performance } from "node:perf_hooks"
import { pathToFileURL } from "node:url"
import { parseArgs } from "node:util"

const { positionals: [other, mode], values } = parseArgs({
  allowPositionals: true,
  options: {
    modes: { type: "string", default: "full,normal" },
    loads: { type: "string", default: "alone,callers" },
    pairs: { type: "string", default: "40" },
    slice: { type: "string", default: "150" }
  }
})
if (other === undefined) throw new Error("Say which other checkout: pnpm compare ../other")

const callersOf = { alone: 1, callers: 64 }
const commandNames = ["createRelay", "deactivateRelay"]
const relays = 2000

const quantile = (numbers, part = 0.5) => {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
}

/** A database opened with the packages that were built in `root`. */
const open = async (root, mode) => {
  const load = (path) => import(pathToFileURL(join(root, path)))
  const { Context, Effect, Exit, Layer, Redacted, Scope } = await load(
    "packages/sql/node_modules/effect/dist/esm/index.js"
  )
  const { Command } = await load("packages/domain/dist/index.js")
  const { Postgres, Sqlite } = await load("packages/sql/dist/index.js")
  const folder = mkdtempSync(join(tmpdir(), "caravel-compare-"))
  const schema = `compare_${process.pid}`
  const url = process.env.CARAVEL_TEST_POSTGRES_URL
  const scope = await Effect.runPromise(Scope.make())
  const layer = mode === "postgres"
    ? Postgres.layer({ url: Redacted.make(url), schema })
    : Sqlite.layer({ filename: join(folder, "caravel.db"), synchronous: mode })
  const command = Context.get(await Effect.runPromise(Layer.buildWithScope(layer, scope)), Command)
  const tenants = Array.from({ length: 10 }, (_, index) => index.toString(16).repeat(64))
  const ids = Array.from({ length: relays }, () => randomUUID())
  await Effect.runPromise(Effect.forEach(tenants, (pubkey) => command.createTenant({ pubkey })))
  await Effect.runPromise(Effect.forEach(
    ids,
    (id, index) => command.createRelay({ id, tenant: tenants[index % 10], subdomain: id }),
    { concurrency: "unbounded", discard: true }
  ))
  let issued = 0
  const issue = {
    createRelay: () => {
      const id = randomUUID()
      return command.createRelay({ id, tenant: tenants[issued++ % 10], subdomain: id })
    },
    deactivateRelay: () => command.deactivateRelay({ id: ids[issued++ * 7919 % relays] })
  }
  /** A slice of time: microseconds of a command, and of its CPU. */
  const slice = async (name, callers) => {
    const latencies = []
    const cpu = process.cpuUsage()
    const started = performance.now()
    const until = started + Number(values.slice)
    const caller = Effect.suspend(() => {
      let before = 0
      return Effect.whileLoop({
        while: () => (before = performance.now()) < until,
        body: issue[name],
        step: () => latencies.push(performance.now() - before)
      })
    })
    await Effect.runPromise(Effect.all(Array(callers).fill(caller), { concurrency: "unbounded", discard: true }))
    const each = (performance.now() - started) / latencies.length
    const { system, user } = process.cpuUsage(cpu)
    return { cost: (callers === 1 ? quantile(latencies) : each) * 1000, cpu: (user + system) / latencies.length }
  }
  const close = async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    if (mode === "postgres") {
      const client = new (createRequire(join(root, "packages/sql/package.json"))("pg").Client)({
        connectionString: url
      })
      await client.connect()
      await client.query(`DROP SCHEMA ${schema} CASCADE`)
      await client.end()
    }
    rmSync(folder, { recursive: true, force: true })
  }
  return { slice, close }
}

/** A process of its own that runs slices of what is built in `root`. */
const start = async (root, mode) => {
  const child = fork(import.meta.filename, [root, mode, "--slice", values.slice])
  let settle = () => {}
  child.on("message", (message) => settle(message))
  child.on("exit", (code) => code !== 0 && process.exit(1))
  const answer = () => new Promise((resolve) => settle = resolve)
  await answer()
  return (...request) => {
    child.send(request)
    return answer()
  }
}

if (mode !== undefined) {
  const { close, slice } = await open(other, mode)
  process.on("message", async ([name, callers]) => {
    process.send(name === undefined ? await close() ?? {} : await slice(name, callers))
  })
  process.send("opened")
} else {
  console.log("case                                 µs here    there   here/there (quartiles)    CPU here/there")
  for (const mode of values.modes.split(",")) {
    const sides = {
      here: await start(resolve(import.meta.dirname, ".."), mode),
      there: await start(resolve(other), mode)
    }
    for (const load of values.loads.split(",")) {
      for (const name of commandNames) {
        const pairs = []
        for (let index = -10; index < Number(values.pairs); index++) {
          const pair = {}
          for (const side of index % 2 === 0 ? ["here", "there"] : ["there", "here"]) {
            pair[side] = await sides[side](name, callersOf[load])
          }
          // The first ones run what is not compiled yet.
          if (index >= 0) pairs.push(pair)
        }
        const ratios = (figure) => pairs.map(({ here, there }) => here[figure] / there[figure])
        const shown = ["here", "there"].map((side) =>
          quantile(pairs.map((pair) => pair[side].cost)).toFixed(1).padStart(9)
        )
        const quartiles = [0.25, 0.75].map((part) => quantile(ratios("cost"), part).toFixed(3)).join(" – ")
        console.log(
          `${`${mode} ${load} ${name}`.padEnd(34)} ${shown.join("")}   ${
            quantile(ratios("cost")).toFixed(3)
          } (${quartiles})   ${quantile(ratios("cpu")).toFixed(3)}`
        )
      }
    }
    await sides.here()
    await sides.there()
  }
  process.exit()
}
