/** The past as people and programs see it, never with a secret. */
import type { Change, Difference, HistoryEntry, Position, Usage } from "@caravel/domain"
import { secretFields } from "@caravel/domain/adapter"
import { type Array as Arr, DateTime, String as Str } from "effect"
import { beside, oneLine, shortened, table, wrapped } from "./Layout.js"
import type { Output, Style } from "./Output.js"
import { firstTitles, metadataTexts, time, timeCell, timeTitle } from "./Render.js"

/**
 * A moment as the user named it, with its position.
 *
 * @since 0.1.0
 * @category text
 */
export const moment = (text: string, position: Position): string =>
  /^\d+$/.test(text) ? `position ${position}` : `${text} (position ${position})`

// References to secrets are harmless but meaningless to readers.
const jsonOf = ({ after, before, field }: Change) => ({
  field,
  before: secretFields.has(field) && typeof before === "string" ? "<redacted>" : before,
  after: secretFields.has(field) && typeof after === "string" ? "<redacted>" : after
})

/**
 * An entry of a history as JSON.
 *
 * @since 0.1.0
 * @category json
 */
export const entryJson = ({ changes, event }: HistoryEntry): Record<string, unknown> => {
  const { _tag, createdAt, id, metadata, position, resourceId, resourceType, tenant, version } = event
  return {
    position,
    id,
    createdAt,
    event: _tag,
    tenant,
    resourceType,
    resourceId,
    version,
    metadata,
    changes: changes.map(jsonOf)
  }
}

const kindOf = ({ after, before }: Difference) =>
  before === undefined ? "appeared" : after === undefined ? "disappeared" : "changed"

/**
 * A difference as JSON.
 *
 * @since 0.1.0
 * @category json
 */
export const differenceJson = (difference: Difference): Record<string, unknown> => ({
  resourceType: difference.resourceType,
  resourceId: difference.resourceId,
  difference: kindOf(difference),
  changes: difference.changes.map(jsonOf)
})

const textOf = (field: string, value: unknown, style: Style) =>
  value === undefined || value === null || value === ""
    ? "-"
    : secretFields.has(field)
    ? "set"
    : DateTime.isDateTime(value)
    ? time(value, style)
    : typeof value === "boolean"
    ? value ? "yes" : "no"
    : oneLine(`${value}`)

/** The old and the new value of a field. For a new field, only its value. */
const changeText = ({ after, before, field }: Change, style: Style) => {
  if (before === undefined) return textOf(field, after, style)
  const replaced = secretFields.has(field) && before !== null && after !== null
  return `${textOf(field, before, style)} → ${replaced ? "another" : textOf(field, after, style)}`
}

/** Whether a change deserves a line: empty fields of a new resource do not. */
const isTelling = ({ after, before }: Change) =>
  before !== undefined || !(after === undefined || after === null || after === "" || after === false)

/**
 * The titles above `entryLines`.
 *
 * @since 0.1.0
 * @category tables
 */
export const entryTitles = (style: Style): string =>
  style.dim(`${firstTitles(style)}  event                      what it changed`)

/** `RelaySyncFailed` as `sync failed`, as the history's resource is known. */
const eventWords = (tag: string) =>
  Str.camelToSnake(Str.uncapitalize(tag.replace(/^(Tenant|Relay)/, ""))).replaceAll("_", " ")

const noFields = "no fields set"
const unchanged = "nothing: it had these values already"

/**
 * An entry of a history as lines of a table of unknown length: one line per change, and one for the command's metadata.
 *
 * @since 0.1.0
 * @category tables
 */
export const entryLines = (
  { changes, event }: HistoryEntry,
  { columns, style }: typeof Output.Service
): ReadonlyArray<string> => {
  const left = [
    `${event.position}`.padStart(8),
    timeCell(event.createdAt, style),
    eventWords(event._tag).padEnd(25)
  ] as const
  const width = left.join("  ").length + 2
  const told = changes.filter(isTelling)
  const texts: ReadonlyArray<readonly [text: string, paint?: Style["dim"]]> = [
    ...(told.length === 0 ? [[event.version === 1 ? noFields : unchanged, style.dim] as const] : []),
    ...told.map((change) => [shortened(`${change.field} ${changeText(change, style)}`)] as const),
    ...metadataTexts(event.metadata).map((text) => [text, style.dim] as const)
  ]
  const isNarrow = columns - width < Math.min(24, ...texts.map(([text]) => text.length))
  const indent = isNarrow ? 10 : width
  const lines = texts.flatMap(([text, paint = (text: string) => text]) =>
    wrapped(text, columns - indent).map((line) => paint(line))
  )
  const head = [left[0], style.dim(left[1]), style.cyan(isNarrow ? left[2].trimEnd() : left[2])].join("  ")
  const [first = "", ...rest] = lines
  const below = (line: string) => " ".repeat(indent) + line
  return isNarrow ? [head, ...lines.map(below)] : [`${head}  ${first}`, ...rest.map(below)]
}

/**
 * A short summary of differences.
 *
 * @since 0.1.0
 * @category text
 */
export const summary = (differences: ReadonlyArray<Difference>): string => {
  const counts = (["appeared", "disappeared", "changed"] as const).map((kind) =>
    [differences.filter((difference) => kindOf(difference) === kind).length, kind] as const
  )
  const words = counts.filter(([count]) => count > 0).map(([count, kind]) => `${count.toLocaleString("en")} ${kind}`)
  return words.length === 0 ? "nothing differs" : words.join(", ")
}

const paints = { appeared: "green", disappeared: "red", changed: "yellow" } as const

/** Fields that the title of a difference already contains. */
const titled = ["id", "pubkey", "version"]

/**
 * A difference as a title and one line per field.
 *
 * @since 0.1.0
 * @category tables
 */
export const differenceLines = (
  difference: Difference,
  { columns, style }: typeof Output.Service
): ReadonlyArray<string> => {
  const { after, before, changes, resourceId, resourceType } = difference
  const kind = kindOf(difference)
  const versions = [before, after].flatMap((state) => state?.version ?? [])
  const told = kind === "disappeared"
    ? []
    : changes.filter((change) => isTelling(change) && !titled.includes(change.field))
  const width = Math.max(0, ...told.map(({ field }) => field.length))
  return [
    "",
    `${style.bold(`${resourceType} ${resourceId}`)} ${style[paints[kind]](kind)}${
      style.dim(`, version ${versions.join(" → ")}`)
    }`,
    ...told.flatMap((change) =>
      beside(`  ${style.dim(change.field.padEnd(width))}  `, width + 4, shortened(changeText(change, style)), columns)
    )
  ]
}

/**
 * The usage of a relay on a plan, and its intervals.
 *
 * @since 0.1.0
 * @category models
 */
export interface Total {
  readonly relay: string
  readonly plan: string
  readonly millis: number
  readonly intervals: ReadonlyArray<Usage>
}

const millisOf = ({ from, to }: Usage) => to.epochMillis - from.epochMillis

/**
 * Usage by relay and plan.
 *
 * @since 0.1.0
 * @category combinators
 */
export const totals = (usage: ReadonlyArray<Usage>): ReadonlyArray<Total> => {
  const groups = new Map<string, Arr.NonEmptyArray<Usage>>()
  for (const interval of usage) {
    const key = `${interval.relay} ${interval.plan}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [interval])
    else group.push(interval)
  }
  return [...groups.values()].map((intervals) => ({
    relay: intervals[0].relay,
    plan: intervals[0].plan,
    millis: intervals.reduce((sum, interval) => sum + millisOf(interval), 0),
    intervals
  }))
}

/**
 * A total as JSON.
 *
 * @since 0.1.0
 * @category json
 */
export const totalJson = ({ intervals, millis, plan, relay }: Total): Record<string, unknown> => ({
  relay,
  plan,
  seconds: millis / 1000,
  intervals: intervals.map(({ from, to }) => ({ from, to }))
})

/** A duration in full, as a bill is computed from it. */
const duration = (millis: number) => {
  const units = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"]] as const
  const parts: Array<string> = []
  let rest = millis
  for (const [size, unit] of units) {
    if (rest >= size) parts.push(`${Math.floor(rest / size)} ${unit}`)
    rest %= size
  }
  if (rest > 0 || parts.length === 0) parts.push(`${rest / 1000} s`)
  return parts.join(" ")
}

/**
 * Totals as a table.
 *
 * @since 0.1.0
 * @category tables
 */
export const totalTable = (totals: ReadonlyArray<Total>, output: typeof Output.Service): ReadonlyArray<string> =>
  table(
    ["relay", "plan", "active for"],
    totals.map(({ millis, plan, relay }) => [relay, plan, { text: duration(millis), paint: output.style.green }]),
    output
  )

/** To the millisecond, as bills depend on these limits. */
const exactly = (instant: DateTime.Utc, { style }: typeof Output.Service) => time(instant, style, 3)

/**
 * Intervals as a table.
 *
 * @since 0.1.0
 * @category tables
 */
export const usageTable = (usage: ReadonlyArray<Usage>, output: typeof Output.Service): ReadonlyArray<string> =>
  table(
    ["relay", "plan", timeTitle("from", output.style), "to", "active for"],
    usage.map((interval) => [
      interval.relay,
      interval.plan,
      exactly(interval.from, output),
      exactly(interval.to, output),
      duration(millisOf(interval))
    ]),
    output
  )
