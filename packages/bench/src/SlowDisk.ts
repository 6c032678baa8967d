/** A disk of a chosen speed: a library in front of the C library that waits in place of each sync. */
import { Effect, Option } from "effect"
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"

const variable = "CARAVEL_SYNC_MICROSECONDS"

/** Without the variable, a sync is one. The timer's slack would otherwise add 50 µs to each wait. */
const source = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

static int sync_or_wait(const char *name, int fd) {
  const char *micros = getenv("${variable}");
  if (micros == NULL) return ((int (*)(int)) dlsym(RTLD_NEXT, name))(fd);
  prctl(PR_SET_TIMERSLACK, 1);
  long nanos = atol(micros) * 1000;
  struct timespec rest = { nanos / 1000000000, nanos % 1000000000 };
  nanosleep(&rest, NULL);
  return 0;
}

int fdatasync(int fd) { return sync_or_wait("fdatasync", fd); }
int fsync(int fd) { return sync_or_wait("fsync", fd); }
`

/** Compiles the library into a directory, for the variable `LD_PRELOAD`; `None` without Linux or a C compiler. */
export const compile = (directory: string): Effect.Effect<Option.Option<string>> =>
  Effect.sync(() => {
    if (process.platform !== "linux") return Option.none()
    const [file, library] = [join(directory, "slow-disk.c"), join(directory, "slow-disk.so")]
    writeFileSync(file, source)
    const { status } = spawnSync("cc", ["-shared", "-fPIC", "-O2", "-o", library, file, "-ldl"])
    return status === 0 ? Option.some(library) : Option.none()
  })

/** The reason why no disk can be slowed down. */
export const skipped = "no C compiler, or not Linux"

/** Lets each sync of this process take so long, until the scope ends. */
export const slowed = (millis: number) =>
  Effect.acquireRelease(
    // The library reads the environment of the process, which Node changes with it: this is no configuration.
    // @effect-diagnostics-next-line processEnvInEffect:off
    Effect.sync(() => process.env[variable] = String(millis * 1000)),
    // @effect-diagnostics-next-line processEnvInEffect:off
    () => Effect.sync(() => delete process.env[variable])
  )
