import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const shells = ["bash", "fish", "zsh"] as const

beforeAll(async () => {
  for (const shell of shells) {
    const { code, stderr, stdout } = await program(["--completions", shell])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    writeFileSync(join(cwd, `caravel.${shell}`), `${stdout}\n`)
  }
  mkdirSync(join(cwd, "files"))
  writeFileSync(join(cwd, "files", "some.db"), "")
})

const run = (shell: string, args: ReadonlyArray<string>) => {
  const { error, status, stderr, stdout } = spawnSync(shell, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, HOME: cwd }
  })
  expect({ error, status, stderr }, `${shell} ${args.join(" ")}`).toMatchObject({ error: undefined, stderr: "" })
  return stdout
}

/** What a shell offers, having sourced the script, for each of these lines with the cursor at its end. */
const offered: Record<typeof shells[number], (lines: ReadonlyArray<string>) => ReadonlyArray<ReadonlyArray<string>>> = {
  bash: (lines) =>
    lines.map((line) => {
      const words = line.split(" ")
      const script = `source caravel.bash; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); ` +
        `COMP_CWORD=${words.length - 1}; _caravel; printf '%s\\n' "\${COMPREPLY[@]}"`
      return run("bash", ["--norc", "-c", script]).split("\n")
    }),
  fish: (lines) =>
    lines.map((line) =>
      run("fish", ["--no-config", "-c", `source caravel.fish; complete -C '${line}'`]).split("\n").map((offer) =>
        offer.split("\t")[0]!
      )
    ),
  // Completion needs the line editor, and that a terminal: an inner shell writes down what it is given to offer.
  zsh: (lines) => {
    writeFileSync(
      join(cwd, "inner.zsh"),
      `PROMPT=
setopt no_beep
autoload -Uz compinit && compinit -u -d ./zcompdump
source ./caravel.zsh
compadd() {
    if [[ " $* " != *" -"[OAD]" "* ]]; then
        local -a offers
        builtin compadd -A offers "$@"
        print -rl -- $offers >> ./offers
    fi
    builtin compadd "$@"
}
offer() { zle complete-word; print -r -- end >> ./offers }
zle -N offer
zstyle ':completion:*' insert-tab false
bindkey '^I' offer
bindkey '^U' kill-whole-line
print -r -- "$_comps[caravel]" > ./ready
`
    )
    writeFileSync(
      join(cwd, "outer.zsh"),
      `zmodload zsh/zpty zsh/zselect
zpty inner zsh -f -i
drain() { while zpty -r -t inner output; do :; done }
wait_for() { repeat 300; do drain; eval "$1" && return; zselect -t 1; done; print -u2 "timeout: $1" }
zpty -w inner 'source ./inner.zsh'
wait_for '[[ -s ready ]]'
count=0
for line in ${lines.map((line) => `'${line}'`).join(" ")}; do
    (( count++ ))
    zpty -w -n inner $'\\C-u'"$line"$'\\t'
    wait_for '[[ \${#\${(M)\${(f)"$(<offers)"}:#end}} -ge $count ]] 2>/dev/null'
done
zpty -d inner
cat offers
`
    )
    const all = run("zsh", ["-f", "outer.zsh"]).split("end\n")
    return lines.map((_, n) => (all[n] ?? "").split("\n"))
  }
}

const cases: ReadonlyArray<
  readonly [line: string, some: ReadonlyArray<string>, none?: ReadonlyArray<string>]
> = [
  ["caravel ", ["activity", "consumers", "secrets", "create-relay", "init"], ["parked", "consumers parked", "erase"]],
  ["caravel cons", ["consumers"], ["activity"]],
  ["caravel consumers ", ["parked", "replay", "drop", "reset"], ["activity", "erase"]],
  ["caravel consumers re", ["replay", "reset"], ["parked"]],
  ["caravel consumers --", ["--json", "--database"], ["--position"]],
  ["caravel consumers drop --", ["--position", "--yes", "--database"], ["--to"]],
  ["caravel consumers reset --t", ["--to"], ["--position"]],
  ["caravel secrets ", ["erase", "rotate"], ["parked"]],
  ["caravel history ", ["relay", "tenant"], ["parked"]],
  ["caravel create-relay --push-enabled ", ["true", "false"], ["--id"]],
  ["caravel relay --output ", ["json", "table", "csv"], ["true", "--id"]],
  ["caravel relay --status ", ["active", "delinquent"], ["json"]],
  ["caravel verify --database files/", ["files/some.db"]],
  ["caravel backup files/", ["files/some.db"]]
]

describe("completions", () => {
  for (const shell of shells) {
    const isThere = spawnSync(shell, ["--version"]).error === undefined
    if (!isThere) process.stderr.write(`completions in ${shell} skipped: it is not installed\n`)
    it.skipIf(!isThere)(`in ${shell} are of the subcommand that is typed, under others too`, () => {
      const all = offered[shell](cases.map(([line]) => line))
      for (const [n, [line, some, none = []]] of cases.entries()) {
        const found = all[n]!.map((offer) => offer.trim())
        const has = (word: string) =>
          found.some((offer) => offer === word || word.startsWith("files/") && offer.endsWith("some.db"))
        expect(some.filter((word) => !has(word)), `${line}: ${found.join(" ")}`).toEqual([])
        expect(none.filter((word) => has(word)), `${line}: ${found.join(" ")}`).toEqual([])
      }
    }, 60_000)
  }

  it("are there for no other shell", async () => {
    for (const args of [["--completions"], ["--completions", "tcsh"], ["--completions=sh"]]) {
      expect(await program(args)).toMatchObject({
        code: 1,
        stderr: "caravel: --completions needs a value: bash, fish or zsh"
      })
    }
  })
})
