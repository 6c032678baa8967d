/** Called at each step, with the part of it that is done. */
export type OnStep = (
  step: "copying" | "checking" | "projecting" | "verifying" | "restoring",
  done: number,
  total: number
) => void
