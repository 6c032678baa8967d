/** Compiles the library, and starts programs with it. */
import { Data, Effect } from "effect"
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { source } from "./Source.js"

/** Why the library cannot be used here, if so. */
export const skipped: string | undefined = process.platform === "linux" && spawnSync("cc", ["--version"]).status === 0
  ? undefined
  : "no C compiler, or not Linux"

/** The compiler has failed. */
class NotCompiled extends Data.TaggedError("NotCompiled")<{ readonly message: string }> {}

/** Compiles the library into a directory, and returns its path. Fails if the compiler does. */
export const compile = (directory: string): Effect.Effect<string, NotCompiled> =>
  Effect.suspend(() => {
    const [file, library] = [join(directory, "interposer.c"), join(directory, "interposer.so")]
    writeFileSync(file, source)
    const { status, stderr } = spawnSync("cc", ["-shared", "-fPIC", "-O2", "-Wall", "-o", library, file, "-ldl"])
    return status === 0 ? Effect.succeed(library) : new NotCompiled({ message: String(stderr) })
  })
