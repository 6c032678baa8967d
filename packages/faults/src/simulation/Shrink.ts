/** Makes a failing program smaller, as long as it fails in the same way. */
import type { Program, Step } from "./Program.js"

/** Whether a program still fails in the way that is looked for. */
export type Fails = (program: Program) => Promise<boolean>

/** Returns the smallest failing program that is found with at most `tries` runs. The seed of the scheduler stays. */
export const shrink = async (program: Program, fails: Fails, tries = 300): Promise<Program> => {
  let smallest = program
  let left = tries
  for (let isSmaller = true; isSmaller && left > 0;) {
    isSmaller = false
    for (const candidate of smallerThan(smallest)) {
      if (left-- <= 0) break
      if (await fails(candidate)) {
        smallest = candidate
        isSmaller = true
        break
      }
    }
  }
  return smallest
}

/** Smaller programs, those that leave out most first. */
function* smallerThan(program: Program): Generator<Program> {
  const { callers, consumers, faults, restoration } = program
  if (restoration !== null) {
    yield { ...program, restoration: null }
    for (const rest of without(restoration.callers)) {
      yield { ...program, restoration: { ...restoration, callers: rest } }
    }
    for (const [index, steps] of restoration.callers.entries()) {
      for (const rest of without(steps)) {
        yield { ...program, restoration: { ...restoration, callers: restoration.callers.with(index, rest) } }
      }
    }
  }
  if (callers.length > 1) { for (const rest of without(callers)) yield { ...program, callers: rest } }
  if (faults.length > 1) yield { ...program, faults: [] }
  for (const rest of without(faults)) yield { ...program, faults: rest }
  for (const [index, steps] of callers.entries()) {
    const replaced = (steps: ReadonlyArray<Step>) => ({
      ...program,
      callers: callers.map((others, at) => at === index ? steps : others)
    })
    if (steps.length > 3) {
      yield replaced(steps.slice(0, steps.length >>> 1))
      yield replaced(steps.slice(steps.length >>> 1))
    }
    for (const rest of without(steps)) yield replaced(rest)
  }
  if (program.nodes > 1) yield { ...program, nodes: program.nodes - 1 }
  const last = consumers.length - 1
  if (last >= 0 && !JSON.stringify(callers).includes(`"consumer":${last}`)) {
    yield { ...program, consumers: consumers.slice(0, last) }
  }
  if (program.isLong) yield { ...program, isLong: false }
  if (program.isLate) yield { ...program, isLate: false }
  if (program.order !== "fifo") yield { ...program, order: "fifo" }
  if (program.preemption !== 0) yield { ...program, preemption: 0 }
  for (const [index, steps] of callers.entries()) {
    for (const [at, step] of steps.entries()) {
      for (const simpler of simplerThan(step)) {
        yield {
          ...program,
          callers: callers.map((others, place) =>
            place === index ? [...others.slice(0, at), simpler, ...others.slice(at + 1)] : others
          )
        }
      }
    }
  }
  for (const [index, fault] of faults.entries()) {
    if (fault.times > 1) {
      yield { ...program, faults: faults.map((other, at) => at === index ? { ...fault, times: 1 } : other) }
    }
  }
}

function* simplerThan(step: Step): Generator<Step> {
  if (step._tag === "Together") { for (const inner of step.steps) yield inner }
  if (step._tag === "Transaction" || step._tag === "Together") {
    for (const steps of without(step.steps)) yield { ...step, steps }
    for (const [index, inner] of step.steps.entries()) {
      for (const simpler of simplerThan(inner)) {
        yield { ...step, steps: step.steps.map((other, at) => at === index ? simpler : other) }
      }
    }
  }
  if (step._tag === "Submit") {
    if (step.commands.length > 1) { for (const commands of without(step.commands)) yield { ...step, commands } }
    for (const option of ["expected", "key"] as const) {
      if (step[option] !== undefined) yield { ...step, [option]: undefined }
    }
  }
  if (step._tag === "Submit" || step._tag === "Transaction") {
    for (const option of ["interruptAfter", "timeout"] as const) {
      if (step[option] !== undefined) yield { ...step, [option]: undefined }
    }
  }
}

function* without<A>(items: ReadonlyArray<A>): Generator<ReadonlyArray<A>> {
  for (let index = items.length - 1; index >= 0; index--) yield [...items.slice(0, index), ...items.slice(index + 1)]
}

/** The kind of a problem: its text without names, positions and values. */
export const kindOf = (problem: string): string =>
  problem.slice(0, 200).split("\n")[0]!.replaceAll(/\(.*?\)/g, "").replaceAll(/["'{].*/g, "").replaceAll(
    /\d+(, )?/g,
    "#"
  )
