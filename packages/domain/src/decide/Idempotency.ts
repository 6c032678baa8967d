/** Idempotency keys: which submissions count as equal, and where the outcome of the first one is stored. */
import { type Array as Arr, Either, Option, Record as Rec, Redacted } from "effect"
import { IdempotencyConflict } from "../command/CommandError.js"
import { commands } from "../command/CommandRequest.js"
import type { IdempotencyKey } from "../command/IdempotencyKey.js"
import { defaultsOf } from "../command/Payload.js"
import { fieldIn, resourceKey, resources } from "../model/Resource.js"
import type { Submission } from "./Batch.js"
import { resourceIn, resourceOf, type State } from "./Decider.js"

/**
 * The identity of a submission: all fields of its commands and their expected versions. Metadata is not part of it, as
 * it may differ between attempts. The identity contains the commands' secrets.
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

/** For each command's tag, the defaults of its fields. */
const defaults = Rec.map(commands, defaultsOf)

/**
 * Fields that are part of every identity although they have defaults: stored identities include them. Never add one: a
 * retry across a deployment that adds a field must have the identity that was stored without the field.
 */
const alwaysNamed: ReadonlySet<string> = new Set([
  ...["nwcUrl", "stripeCustomerId", "plan", "infoName", "infoIcon", "infoDescription", "policyPublicJoin"],
  ...["policyStripSignatures", "groupsEnabled", "managementEnabled", "blossomEnabled", "livekitEnabled", "pushEnabled"]
])

/**
 * The fields that distinguish a command, given the defaults of its fields. A field that was added later is omitted
 * while it has its default. Values are JSON values or secrets.
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
 * The scopes in which a submission's key may be stored. A new key is stored in the first one: the tenant of the first
 * command. A relay that does not exist has no tenant, so the refusal is stored under the relay's id, and is found there
 * even if the relay is created later.
 *
 * @since 0.1.0
 * @category accessors
 */
export const scopesOf = (state: State, { commands: [[command]] }: Submission): Arr.NonEmptyReadonlyArray<string> => {
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
 * The stored outcome of the first submission with a key. An adapter may store a hash of the identity.
 *
 * @since 0.1.0
 * @category models
 */
export interface Kept<A, E> {
  readonly identity: string
  readonly outcome: Either.Either<A, E>
}

/**
 * The outcome to return for a submission with a key: the stored outcome if the identity is equal, an
 * `IdempotencyConflict` if it differs, `undefined` if the key is new.
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
