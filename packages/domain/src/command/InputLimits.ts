import { Context } from "effect"

/**
 * How much a caller may pass at once; what is more is a `ParseError` before anything is written. What is stored is always
 * read, whatever the limits are. To change them, provide a layer of services with others: `Infinity` is no limit.
 *
 * @example
 * ```ts
 * import { InputLimits } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Layer } from "effect"
 *
 * const layer = Memory.layer.pipe(
 *   Layer.provide(Layer.succeed(InputLimits, { ...InputLimits.defaults, commandsPerSubmit: 100 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class InputLimits extends Context.Reference<InputLimits>()("@caravel/domain/InputLimits", {
  defaultValue: (): Limits => InputLimits.defaults
}) {
  /** Texts of 65,536 characters, in lists of 10,000 commands with 10,000,000 characters. */
  static readonly defaults: Limits = {
    charactersPerText: 65_536,
    commandsPerSubmit: 10_000,
    charactersPerSubmit: 10_000_000
  }
}

/** Characters are UTF-16 units, as in `string.length`. */
interface Limits {
  readonly charactersPerText: number
  /** The length of a list that is submitted. */
  readonly commandsPerSubmit: number
  /** In all texts of such a list together. */
  readonly charactersPerSubmit: number
}
