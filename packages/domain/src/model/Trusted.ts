/**
 * Creates an instance of a schema class from values that have already been validated. The constructor would validate
 * them again, which takes 30 µs for an `Activity` and 70 µs for a `Relay`; this takes 0.2 µs.
 */
export const trusted = <Self extends object>(Class: { readonly prototype: Self }, values: object): Self =>
  Object.assign(Object.create(Class.prototype), values)
