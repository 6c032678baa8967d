import { Context } from "effect"

/**
 * The limits of a caller's input. Input beyond them fails with a `ParseError` before anything is written. Stored data
 * is always read, whatever the limits are. To change the limits, provide this service to the layer of your database;
 * `Infinity` is no limit.
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
  /** 65,536 characters per text, 10,000 commands per `submit`, and 10,000,000 characters per `submit`. */
  static readonly defaults: Limits = {
    charactersPerText: 65_536,
    commandsPerSubmit: 10_000,
    charactersPerSubmit: 10_000_000
  }
}

/** A character is a UTF-16 unit, as in `string.length`. */
interface Limits {
  readonly charactersPerText: number
  /** The number of commands in a submitted list. */
  readonly commandsPerSubmit: number
  /** The number of characters in all texts of a submitted list. */
  readonly charactersPerSubmit: number
}
