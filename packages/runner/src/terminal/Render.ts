/** Results as people and programs see them: tables or JSON lines, never with a secret. */
import { Activity, issuesOf, type Metadata, Relay, StorageError, Tenant } from "@caravel/domain"
import { resources, withoutSecrets } from "@caravel/domain/adapter"
import { DateTime, Function, ParseResult, Predicate, Record as Rec, Redacted, Schema } from "effect"
import * as nip19 from "nostr-tools/nip19"
import { type Cell, oneLine, shortened, table } from "./Layout.js"
import type { Style } from "./Output.js"

/**
 * An error as one line. For malformed values it contains the place and the problem, as in `subdomain: Expected …`.
 * `nameOf` may rename fields.
 *
 * @since 0.1.0
 * @category errors
 */
export const messageOf = (error: Error, nameOf: (field: string) => string = Function.identity): string => {
  const message = ParseResult.isParseError(error)
    ? issuesOf(error).map((issue) =>
      shortened(issue.replace(/^(?:0\.)?([A-Za-z]+)(?=: )/, (_, field: string) => nameOf(field)))
    ).join("; ")
    : error instanceof StorageError
    ? storageMessage(error)
    : error.message
  return shortened(oneLine(withoutSecrets(message)))
}

const storageMessage = (error: StorageError): string => {
  const why = error.cause instanceof Error ? error.cause.message : String(error.cause)
  switch (error.reason) {
    case "key":
      return `${why}; the keys are in CARAVEL_SECRET_KEYS`
    case "missing":
      return `${why}; check its name, or create a database with caravel init`
    case "older":
      return `${why}; migrate it with caravel migrate`
    default:
      if (
        Predicate.isTagged(error.cause, "Unauthorized") && "reason" in error.cause && error.cause.reason === "missing"
      ) {
        return `The request has no credential: give --token-file or CARAVEL_TOKEN [${error.operation}]`
      }
      // The problem comes first, then the place.
      return `${error.message.replace(`Storage failed at ${error.operation}: `, "")} [${error.operation}]`
  }
}

/**
 * An error as JSON: its tag, its message and its fields, without a cause.
 *
 * @since 0.1.0
 * @category errors
 */
export const errorJson = (error: Error & { readonly _tag: string }): Record<string, unknown> => {
  const { _tag, cause: _, message: __, ...fields } = error as typeof error & Record<string, unknown>
  const message = messageOf(error)
  return ParseResult.isParseError(error) ? { _tag, message } : { _tag, message, ...fields }
}

/**
 * An activity as JSON.
 *
 * @since 0.1.0
 * @category json
 */
export const activityJson: (activity: Activity) => typeof Activity.Encoded = Schema.encodeSync(Activity)

const encodeTenant = Schema.encodeSync(Tenant)

/**
 * A tenant as JSON. The wallet URL is replaced by whether there is one.
 *
 * @since 0.1.0
 * @category json
 */
export const tenantJson = (tenant: Tenant): Record<string, unknown> =>
  Rec.map<string, unknown, unknown>(
    { ...encodeTenant(tenant) },
    (value) => Redacted.isRedacted(value) ? "<redacted>" : value
  )

/**
 * A relay as JSON.
 *
 * @since 0.1.0
 * @category json
 */
export const relayJson: (relay: Relay) => typeof Relay.Encoded = Schema.encodeSync(Relay)

/**
 * A pubkey or id, shortened to at most 17 characters.
 *
 * @since 0.1.0
 * @category text
 */
export const short = (id: string): string => id.length > 17 ? `${id.slice(0, 8)}…${id.slice(-8)}` : id

/**
 * An instant in the style's time zone, to the second, or to the number of digits after it.
 *
 * @since 0.1.0
 * @category text
 */
export const time = (instant: DateTime.DateTime, { zone }: Style, digits = 0): string =>
  DateTime.formatIsoOffset(DateTime.setZone(instant, zone)).slice(0, digits === 0 ? 19 : 20 + digits).replace("T", " ")

/**
 * The title of a column of times: its word, and the time zone.
 *
 * @since 0.1.0
 * @category text
 */
export const timeTitle = (word: string, { zone }: Style): string => `${word} (${DateTime.zoneToString(zone)})`

/** As wide as a time. */
const columnTitle = (style: Style) => timeTitle("time", style).padEnd(19)

/**
 * The first titles of a table of unknown length: the position and the time.
 *
 * @since 0.1.0
 * @category tables
 */
export const firstTitles = (style: Style): string => `position  ${columnTitle(style)}`

/**
 * A time below its title of `firstTitles`.
 *
 * @since 0.1.0
 * @category tables
 */
export const timeCell = (instant: DateTime.DateTime, style: Style): string =>
  time(instant, style).padEnd(columnTitle(style).length)

/**
 * The titles above `activityLine`.
 *
 * @since 0.1.0
 * @category tables
 */
export const activityTitles = (style: Style): string =>
  style.dim(`${firstTitles(style)}  activity             tenant             resource`)

/**
 * An activity as a line of a table of unknown length. Its columns have fixed widths, and its metadata, if any, comes
 * last.
 *
 * @since 0.1.0
 * @category tables
 */
export const activityLine = (activity: Activity, style: Style, metadata: Metadata = {}): string =>
  [
    String(activity.position).padStart(8),
    style.dim(timeCell(activity.createdAt, style)),
    style.cyan(activity.activityType.padEnd(19)),
    short(activity.tenant),
    `${activity.resourceType} ${activity.resourceType === "tenant" ? "" : activity.resourceId}`.trim(),
    ...metadataTexts(metadata).map(style.dim)
  ].join("  ")

/**
 * Metadata as text, such as `actor=billing`.
 *
 * @since 0.1.0
 * @category text
 */
export const metadataTexts = (metadata: Metadata): ReadonlyArray<string> =>
  Object.entries<string>({ ...metadata }).map(([name, value]) => `${name}=${oneLine(value)}`)

/**
 * Tenants as a table, without wallet URLs.
 *
 * @since 0.1.0
 * @category tables
 */
export const tenantTable = (
  tenants: ReadonlyArray<Tenant>,
  options: { readonly columns: number; readonly style: Style }
): ReadonlyArray<string> => {
  const { style } = options
  // The pubkey gets all the width that the other columns leave, as it is most useful in full.
  const name = options.columns >= 64 + 42 ? (pubkey: string) => pubkey : short
  return table(
    ["pubkey", "wallet", "subscription", "past due since"],
    tenants.map((tenant) => [
      name(tenant.pubkey),
      wallet(tenant, style),
      tenant.stripeSubscriptionId ?? "-",
      pastDue(tenant, style)
    ]),
    options
  )
}

const { secret } = resources.tenant

/**
 * Whether a tenant has a wallet URL, and whether payments fail.
 *
 * @since 0.1.0
 * @category text
 */
export const walletOf = (tenant: Tenant): "failing" | "set" | "not set" =>
  tenant.nwcError !== null ? "failing" : tenant[secret] !== null ? "set" : "not set"

const wallet = (tenant: Tenant, style: Style): Cell => {
  const text = walletOf(tenant)
  return { text, paint: { failing: style.red, set: style.green, "not set": style.dim }[text] }
}

const pastDue = ({ pastDueAt }: Tenant, style: Style): Cell =>
  pastDueAt === null ? { text: "-", paint: style.dim } : { text: time(pastDueAt, style), paint: style.yellow }

const status = (relay: Relay, style: Style): Cell => ({
  text: relay.status,
  paint: { active: style.green, inactive: style.dim, delinquent: style.yellow }[relay.status]
})

/**
 * Whether a relay has been provisioned.
 *
 * @since 0.1.0
 * @category text
 */
export const syncOf = ({ syncError, synced }: Relay): "done" | "pending" | "failed" =>
  syncError !== "" ? "failed" : synced ? "done" : "pending"

const sync = (relay: Relay, style: Style): Cell => {
  const text = syncOf(relay)
  const paint = { done: style.green, pending: style.yellow, failed: style.red }[text]
  return { text: text === "failed" ? `failed: ${relay.syncError}` : text, paint }
}

/**
 * Relays as a table.
 *
 * @since 0.1.0
 * @category tables
 */
export const relayTable = (
  relays: ReadonlyArray<Relay>,
  options: { readonly columns: number; readonly style: Style }
): ReadonlyArray<string> =>
  table(
    ["id", "subdomain", "plan", "status", "tenant", "sync"],
    relays.map((relay) => [
      relay.id,
      relay.subdomain,
      relay.plan,
      status(relay, options.style),
      short(relay.tenant),
      sync(relay, options.style)
    ]),
    options
  )

/**
 * One resource, one field per line.
 *
 * @since 0.1.0
 * @category tables
 */
export const details = (resource: Tenant | Relay, style: Style): ReadonlyArray<string> => {
  const times = Rec.map(
    Rec.filter({ ...resource } as Record<string, unknown>, DateTime.isDateTime),
    (instant) => `${time(instant, style)} (${DateTime.zoneToString(style.zone)})`
  )
  const json: Record<string, unknown> = resource instanceof Tenant
    ? {
      npub: nip19.npubEncode(resource.pubkey),
      ...tenantJson(resource),
      ...times,
      [secret]: wallet(resource, style).text
    }
    : { ...relayJson(resource), ...times }
  const width = Math.max(...Object.keys(json).map((name) => name.length))
  return Object.entries(json).map(([name, value]) => {
    const text = value === null || value === "" ? "-" : value === true ? "yes" : value === false ? "no" : String(value)
    return `${style.dim(name.padEnd(width))}  ${oneLine(Redacted.isRedacted(value) ? "<redacted>" : text)}`
  })
}
