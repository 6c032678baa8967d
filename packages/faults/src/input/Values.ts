/** Hostile values: what programs, files and people send by mistake or on purpose. */
import { FastCheck as fc } from "effect"

/** Texts of which each has gone wrong in some program. */
const notorious = [
  ...[
    "",
    " ",
    "\0",
    "a\0b",
    "\ud83d",
    "\udc00x",
    "\ufeff",
    "\r\n",
    "\u202e",
    "\u2028",
    "e\u0301",
    "\u0130",
    "\u001b[31m"
  ],
  ...["__proto__", "constructor", "toString", "hasOwnProperty", "then", "_tag", "undefined", "null"],
  ...["NaN", "Infinity", "-0", "1e309", "0x10", "9007199254740993", "-9223372036854775809", "1_000", "١٢", "true"],
  ...["'; DROP TABLE caravel_event; --", "\"", "\\", "%00", "%", "{}", "[", "$1", "?1", ":a", "a,b", "--", "-h", "="],
  ...["a".repeat(257), "a".repeat(5_000), "\u{1F600}".repeat(300)]
]

/** Texts that may be malformed Unicode. */
export const texts: fc.Arbitrary<string> = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom("a\0b", "\ud83d", "\udc00x") },
  { weight: 3, arbitrary: fc.constantFrom(...notorious) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 20 }) }
)

const numbers = fc.oneof(
  fc.constantFrom(0, -0, -1, 1, 0.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 2 ** 63, 1e21, 5e-324),
  fc.double()
)

/** An array so deep that some functions that call themselves for each level have no stack left. */
const deep = (): unknown => JSON.parse(`${"[".repeat(3000)}${"]".repeat(3000)}`)

/** An object whose text Effect cannot make, as it asks the constructor for its name. */
const unprintable = () => ({ constructor: { name: { toString: 1, valueOf: 1 } } })

/** One of some values, each made when it is needed, as an edit may change it. */
const madeFrom = (...makers: ReadonlyArray<() => unknown>) => fc.constantFrom(...makers).map((make) => make())

/** Values that JSON can express. */
export const jsonValues: fc.Arbitrary<unknown> = fc.oneof(
  texts,
  fc.integer(),
  fc.boolean(),
  madeFrom(() => null, () => [], () => ({}), () => [[]], () => [null], () => ({ __proto__: null }), deep, unprintable),
  fc.jsonValue({ maxDepth: 3 })
)

const circular = () => {
  const value: { self?: unknown } = {}
  value.self = value
  return value
}

/** Any values of the language, of which only programs can send most. */
export const values: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: jsonValues },
  { weight: 2, arbitrary: numbers },
  {
    weight: 1,
    arbitrary: madeFrom(
      () => undefined,
      () => 10n ** 30n,
      () => Symbol("symbol"),
      () => () => {},
      // @effect-diagnostics-next-line globalDate:off
      () => new Date(NaN),
      () => new Map([["a", 1]]),
      () => new Uint8Array(3),
      () => Object.create(null),
      () => new String("text"),
      () => [, 1],
      () => Object.freeze({}),
      circular,
      () => Object.assign([1], { constructor: "text" })
    )
  }
)

/** A change of a structure: where it happens, what it does, and with which value. */
interface Edit {
  readonly at: number
  readonly how: "drop" | "replace" | "add" | "wrap" | "copy"
  readonly name: string
  readonly value: unknown
}

/** Up to two of something, and often none. */
const many = <A>(some: fc.Arbitrary<A>): fc.Arbitrary<ReadonlyArray<A>> =>
  fc.oneof(fc.constant([]), fc.array(some, { minLength: 1, maxLength: 2 }))

const edits = (values: fc.Arbitrary<unknown>): fc.Arbitrary<ReadonlyArray<Edit>> =>
  many(
    fc.record({
      at: fc.nat(100),
      how: fc.constantFrom("drop", "replace", "replace", "add", "wrap", "copy"),
      name: texts,
      value: values
    })
  )

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Object.isFrozen(value) &&
  [Object.prototype, Array.prototype].includes(Object.getPrototypeOf(value))

/** The objects and arrays in a structure, itself first. Circular ones end at a depth. */
const containers = (value: unknown, depth = 0): ReadonlyArray<Record<string, unknown>> =>
  isPlain(value) && depth < 4
    ? [value, ...Object.values(value).flatMap((part) => containers(part, depth + 1))]
    : []

const edit = (root: unknown, { at, how, name, value }: Edit): unknown => {
  const places = containers(root).flatMap((container) => Object.keys(container).map((key) => [container, key] as const))
  const [container, key] = places[at % Math.max(places.length, 1)] ?? []
  if (container === undefined || key === undefined) return value
  const set = (key: string, value: unknown) =>
    // An assignment to __proto__ would not be a property.
    Object.defineProperty(container, key, { value, enumerable: true, configurable: true, writable: true })
  switch (how) {
    case "drop":
      delete container[key]
      break
    case "replace":
      set(key, value)
      break
    case "add":
      set(name, value)
      break
    case "wrap":
      set(key, [container[key]])
      break
    case "copy":
      set(name, container[key])
      break
  }
  return root
}

/** Structures with up to two changes, most of which are invalid then. */
export const edited = (
  structures: fc.Arbitrary<unknown>,
  values: fc.Arbitrary<unknown>
): fc.Arbitrary<unknown> =>
  fc.tuple(structures, edits(values)).map(([structure, edits]) => edits.reduce(edit, structuredClone(structure)))

/** Bytes with up to two changes: bits flipped, and parts removed, repeated or replaced. */
export const garbled = (bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> =>
  fc.tuple(
    bytes,
    many(
      fc.record({
        how: fc.constantFrom("flip", "cut", "remove", "repeat", "insert"),
        at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        length: fc.integer({ min: 1, max: 64 }),
        bytes: fc.uint8Array({ minLength: 1, maxLength: 8 })
      })
    )
  ).map(([bytes, changes]) =>
    changes.reduce<Buffer>((bytes, { at, bytes: inserted, how, length }) => {
      const from = Math.floor(at * bytes.length)
      const [before, part, after] = [
        bytes.subarray(0, from),
        bytes.subarray(from, from + length),
        bytes.subarray(from + length)
      ]
      switch (how) {
        case "flip":
          return Buffer.concat([before, part.map((byte, n) => n === 0 ? byte ^ (1 << length % 8) : byte), after])
        case "cut":
          return before
        case "remove":
          return Buffer.concat([before, after])
        case "repeat":
          return Buffer.concat([before, part, part, after])
        default:
          return Buffer.concat([before, inserted, part, after])
      }
    }, bytes)
  )
