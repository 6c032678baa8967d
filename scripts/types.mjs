// Type-checks all sources, tests and examples as one program, with the compiler that also reports the diagnostics of Effect's language
// service; their severities stand in tsconfig.base.json. It is TypeScript 7. TypeScript 5.9 builds the packages (scripts/packages.mjs) and
// compiles the documentation's examples.
import { finish, run, typescript7 } from "./workspace.mjs"

if (!run(typescript7(), ["-p", "tsconfig.check.json"])) finish(["types: see above"])
finish([], "types: all sources, tests and examples compile, without diagnostics of Effect's language service")
