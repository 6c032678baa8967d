// Type-checks all sources, tests and examples as one program, with the compiler that also reports the diagnostics of Effect's language
// service; their severities stand in tsconfig.base.json. It is TypeScript 7, which takes a seventh of the time of the TypeScript 5.9 that
// builds the packages (scripts/packages.mjs) and compiles the documentation's examples.
import { createRequire } from "node:module"
import { arch, platform } from "node:process"
import { finish, run } from "./workspace.mjs"

const ofTsgo = createRequire(createRequire(import.meta.url).resolve("@effect/tsgo/package.json"))
const tsc = ofTsgo.resolve(`@effect/tsgo-${platform}-${arch}/lib/tsc${platform === "win32" ? ".exe" : ""}`)
if (!run(tsc, ["-p", "tsconfig.check.json"])) finish(["types: see above"])
finish([], "types: all sources, tests and examples compile, without diagnostics of Effect's language service")
