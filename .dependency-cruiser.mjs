// Imports go only as the package table of the design allows.
import { packages } from "./scripts/workspace.mjs"

/** The files that a package exports, as a pattern. */
const entriesOf = (name) => {
  const { json } = packages.find((other) => other.name === name)
  const files = Object.values(json.exports ?? {}).flatMap(({ "@caravel/source": file }) =>
    file === undefined ? [] : [file.slice(2)]
  )
  return `^packages/${name}/(${files.join("|").replaceAll(".", "\\.")})$`
}

const effect = ["effect"]

/**
 * What a package's src may import: which packages, which modules, and whether the runtime's own modules.
 */
const table = {
  domain: { packages: [], modules: effect },
  // Comparisons throw the assertion errors of Node, which every test runner shows.
  testing: { packages: ["domain"], modules: effect, builtins: true },
  pubsub: { packages: ["domain"], modules: effect },
  memory: { packages: ["domain", "pubsub"], modules: effect },
  sql: {
    packages: ["domain", "pubsub"],
    // The clients' signatures name platform and Reactivity (experimental); the write paths need the drivers themselves.
    modules: [...effect, "@effect/sql[a-z-]*", "@effect/platform", "@effect/experimental", "better-sqlite3", "pg"],
    builtins: true
  },
  http: { packages: ["domain", "pubsub"], modules: [...effect, "@effect/platform", "nostr-tools"] },
  workers: { packages: ["domain", "pubsub"], modules: [...effect, "@effect/platform"] },
  conformance: { packages: ["domain", "pubsub"], modules: [...effect, "@effect/vitest", "vitest"] },
  // The host: which modules it uses is its package.json's to say (knip).
  runner: { packages: ["domain", "pubsub", "memory", "sql", "http", "workers"], modules: [".*"], builtins: true },
  bench: { packages: ["domain", "pubsub", "memory", "sql", "http"], modules: [".*"], builtins: true },
  faults: {
    packages: ["domain", "pubsub", "memory", "sql", "http", "runner", "bench"],
    modules: [".*"],
    builtins: true
  }
}

const allowed = Object.entries(table).map(([name, { builtins = false, modules, packages }]) => ({
  name: `${name}-imports`,
  severity: "error",
  comment: `src of ${name} imports only itself and ${[...packages, ...modules].join(", ")}`,
  from: { path: `^packages/${name}/src/` },
  to: {
    pathNot: [
      `^packages/${name}/src/`,
      ...packages.map(entriesOf),
      ...modules.map((module) => `(^|/)node_modules/${module}/`)
    ],
    ...(builtins ? { dependencyTypesNot: ["core"] } : {})
  }
}))

/**
 * The rooms inside a package's src, in order: each imports only those before it, and rooms that share a step do not import one
 * another. `face` is what stands beside the rooms.
 */
const rooms = {
  sql: [
    ["statement"],
    ["schema"],
    ["database"],
    ["write", "maintain", "sqlite"],
    ["read", "postgres"],
    ["consume", "move"],
    ["face"]
  ],
  pubsub: [["runtime"], ["tail"], ["consumer"], ["face"]],
  domain: [
    ["runtime"],
    ["model"],
    ["command"],
    ["event"],
    ["decide"],
    ["verify", "import"],
    ["journal"],
    ["history"],
    ["face"]
  ],
  http: [["api"], ["serve", "remote"], ["auth"], ["face"]],
  runner: [["terminal"], ["cli"], ["commands"], ["face"]]
}

const inRoom = (name, room) => room === "face" ? `^packages/${name}/src/[^/]+\\.ts$` : `^packages/${name}/src/${room}/`

const roomRules = Object.entries(rooms).flatMap(([name, steps]) =>
  steps.flatMap((step, index) =>
    step.map((room) => ({
      name: `${name}-${room}`,
      severity: "error",
      comment: `${room} of ${name} imports only ${steps.slice(0, index).flat().join(", ") || "itself"}`,
      from: { path: inRoom(name, room) },
      to: {
        path: `^packages/${name}/src/`,
        pathNot: [room, ...steps.slice(0, index).flat()].map((other) => inRoom(name, other))
      }
    }))
  )
)

/** The files of the runner that only a host loads. */
const hostFiles = "^packages/runner/src/commands/(Host|CredentialsFile|UsedSignatures)\\.ts$"

export default {
  forbidden: [
    ...allowed,
    ...roomRules,
    {
      name: "known-room",
      severity: "error",
      comment: "a new room gets its place in the order of .dependency-cruiser.mjs",
      from: {
        path: `^packages/(${Object.keys(rooms).join("|")})/src/[^/]+/`,
        pathNot: Object.entries(rooms).flatMap(([name, steps]) => steps.flat().map((room) => inRoom(name, room)))
      },
      to: {}
    },
    {
      name: "known-package",
      severity: "error",
      comment: "a new package gets a row in the table of .dependency-cruiser.mjs",
      from: { path: "^packages/", pathNot: `^packages/(${Object.keys(table).join("|")})/` },
      to: {}
    },
    {
      name: "http-on-demand",
      severity: "error",
      comment: "the libraries of HTTP are loaded by subcommands that need them: the others would start more slowly",
      from: { path: "^packages/runner/src/", pathNot: hostFiles },
      to: { path: ["^packages/http/", hostFiles], dynamic: false, dependencyTypesNot: ["type-only"] }
    },
    {
      name: "no-circles",
      severity: "error",
      comment: "arrows go only downwards, those of types too",
      from: {},
      to: { circular: true }
    },
    {
      name: "by-entry",
      severity: "error",
      comment: "packages import one another through their entries only, so never from internal/",
      from: { path: "^(packages/[^/]+|examples/[^/]+)/" },
      to: { path: "^(packages|examples)/", pathNot: ["^$1/", ...packages.map(({ name }) => entriesOf(name))] }
    },
    {
      name: "as-users",
      severity: "error",
      comment: "examples import what users import",
      from: { path: "^examples/" },
      to: { path: "^packages/domain/src/adapter\\.ts$" }
    },
    {
      name: "src-without-test",
      severity: "error",
      from: { path: "^(packages|examples)/[^/]+/src/" },
      to: { path: "^(packages|examples)/[^/]+/test/" }
    },
    {
      name: "pure-decisions",
      severity: "error",
      comment: "decisions reach the model only: no service, no port",
      from: { path: "^packages/domain/src/decide/Decider\\.ts$" },
      to: {
        reachable: true,
        path: "^packages/domain/src/(index|Command|Query|Journal|ActivityPubSub|ActivityFeed)\\.ts$"
      }
    },
    {
      name: "resolvable",
      severity: "error",
      from: {},
      to: { couldNotResolve: true }
    }
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.check.json" },
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(packages|examples)/[^/]+/(dist|build|coverage)/" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["@caravel/source", "import", "types", "node", "default"]
    }
  }
}
