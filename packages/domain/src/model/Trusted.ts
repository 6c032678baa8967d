/**
 * An instance of a schema class, of values that have been checked: its constructor would check them again, which costs
 * 30 µs for an `Activity` and 70 µs for a `Relay`; this costs 0.2 µs.
 */
export const trusted = <Self extends object>(Class: { readonly prototype: Self }, values: object): Self =>
  Object.assign(Object.create(Class.prototype), values)
