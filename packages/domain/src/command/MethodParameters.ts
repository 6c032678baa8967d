/** The parameters of a command's method, and its payload: the command table says how they correspond. */
import { commandTable, type CommandTag } from "./CommandTable.js"

const isKey = (parameter: string) => parameter === "pubkey" || parameter === "id"

/**
 * Returns a function that turns the parameters of a method into a command as data.
 *
 * @since 0.1.0
 * @category conversions
 */
export const payloadOf = (tag: CommandTag) => {
  const { parameters: [resource, ...names] } = commandTable[tag]
  return ([first, ...rest]: ReadonlyArray<unknown>): object => {
    // V8 is slow to add a property after a spread, so the tag comes first. The argument may have one of its own.
    const payload: { [name: string]: unknown } = isKey(resource)
      ? { _tag: tag, [resource]: first }
      : { _tag: tag, ...first as object }
    payload["_tag"] = tag
    names.forEach((name, index) => payload[name] = rest[index])
    return payload
  }
}

/**
 * Returns a function that turns a payload into the parameters of the method.
 *
 * @since 0.1.0
 * @category conversions
 */
export const parametersOf = (tag: CommandTag) => {
  const { parameters: [resource, ...names] } = commandTable[tag]
  return (payload: { readonly [name: string]: unknown }): ReadonlyArray<unknown> => [
    isKey(resource) ? payload[resource] : payload,
    ...names.map((name) => payload[name])
  ]
}
