/** Commands that are sent with a key: which are the same, and where the first one's outcome is kept. */
import { type Array, Either, Option, Record as Rec, Redacted } from "effect"
import { IdempotencyConflict } from "../command/CommandError.js"
import { commands } from "../command/CommandRequest.js"
import type { IdempotencyKey } from "../command/IdempotencyKey.js"
import { defaultsOf } from "../command/Payload.js"
import { fieldIn, resourceKey, resources } from "../model/Resource.js"
import type { Submission } from "./Batch.js"
import { resourceIn, resourceOf, type State } from "./Decider.js"

/**
 * What makes commands the same: all that they carry and the version that they expect, but not their metadata, which may
 * differ between attempts. It holds their secrets.
 *
 * @since 0.1.0
 * @category accessors
 */
export const identityOf = (submission: Submission): Redacted.Redacted =>
  Redacted.make(
    JSON.stringify(
      submission.commands.map((
        [command, { expected }]
      ) => [expected ?? null, ...canonical(command, defaults[command._tag])])
    )
  )

/** By each command's tag, the defaults of its fields. */
const defaults = Rec.map(commands, defaultsOf)

/**
 * Fields with a default that are part of every identity: stored identities were made with them. Never add one: a retry across a
 * deployment that adds a field must have the identity that was stored without it.
 */
const alwaysNamed: ReadonlySet<string> = new Set([
  ...["nwcUrl", "stripeCustomerId", "plan", "infoName", "infoIcon", "infoDescription", "policyPublicJoin"],
  ...["policyStripSignatures", "groupsEnabled", "managementEnabled", "blossomEnabled", "livekitEnabled", "pushEnabled"]
])

/**
 * The fields that distinguish a command, given the defaults of its fields: a field that was added later does not count while it
 * has its default. Values are those of JSON, or secrets.
 *
 * @since 0.1.0
 * @category accessors
 */
export const canonical = (command: object, defaults: ReadonlyMap<string, unknown>) =>
  Object.entries(command)
    .filter(([name, value]) =>
      value !== undefined && (alwaysNamed.has(name) || !defaults.has(name) || value !== defaults.get(name))
    )
    .sort(([one], [other]) => one < other ? -1 : 1)
    .map(([name, value]) => [name, Redacted.isRedacted(value) ? Redacted.value(value) : value])

/**
 * Where a submission's key may be kept, and first where it is to be kept: with the tenant of its first command. A relay that
 * does not exist has no tenant; that it did not is kept with its id, and found there when it does.
 *
 * @since 0.1.0
 * @category accessors
 */
export const scopesOf = (state: State, { commands: [[command]] }: Submission): Array.NonEmptyReadonlyArray<string> => {
  const resource = resourceOf(command)
  const { owner } = resources[resource.resourceType]
  const named = fieldIn(command, owner)
  if (typeof named === "string") return [named]
  const withoutOwner = resourceKey(resource)
  return Option.match(resourceIn(state, resource), {
    onNone: () => [withoutOwner],
    onSome: (found) => [String(fieldIn(found, owner)), withoutOwner]
  })
}

/**
 * What is kept of the first command with a key. Its identity may be a hash of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Kept<A, E> {
  readonly identity: string
  readonly outcome: Either.Either<A, E>
}

/**
 * The answer to a command with a key: the outcome of the first one, if it is the same; none if it is the first.
 *
 * @since 0.1.0
 * @category decisions
 */
export const recall = <A, E>(
  kept: ReadonlyArray<Kept<A, E>>,
  identity: string,
  key: IdempotencyKey
): Either.Either<A, E | IdempotencyConflict> | undefined =>
  kept.length === 0
    ? undefined
    : kept.find((first) => first.identity === identity)?.outcome ?? Either.left(new IdempotencyConflict({ key }))
