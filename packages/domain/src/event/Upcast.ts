/**
 * Reads events of older versions as current ones. If the schema of an event in `Event` changes, the event's version
 * grows by one. Stored events are not rewritten; they are upcast each time they are read.
 */
import { Data, Either } from "effect"
import type { EventTag } from "./EventTable.js"

/**
 * Converts the changes of an event, as JSON, from one version to the next.
 *
 * @since 0.1.0
 * @category models
 */
export type Upcaster = (changes: { readonly [field: string]: unknown }) => unknown

/**
 * Upcasters by event tag: the first converts version 1 to 2, the next one 2 to 3. Events with a tag that has no
 * upcasters are at version 1.
 *
 * @since 0.1.0
 * @category models
 */
export type Upcasters = { readonly [Tag in EventTag]?: ReadonlyArray<Upcaster> }

/**
 * The upcasters of all events whose schema has ever changed. To change an event, change its schema in `Event` and add a
 * line such as `RelayCreated: [(changes) => ({ ...changes, region: "eu" })]`. Never change or remove a line.
 *
 * @since 0.1.0
 * @category events
 */
export const upcasters: Upcasters = {}

/**
 * The version at which new events with this tag are written.
 *
 * @since 0.1.0
 * @category events
 */
export const versionOf = (tag: EventTag, all: Upcasters = upcasters): number => 1 + (all[tag]?.length ?? 0)

/**
 * The tag, version and position of a stored event.
 *
 * @since 0.1.0
 * @category models
 */
export interface Written {
  readonly tag: EventTag
  readonly version: number
  readonly position: number
}

/**
 * The event was written by a newer program and has a version that this program does not know. To recover, read it with
 * the newer program.
 *
 * @since 0.1.0
 * @category errors
 */
export class NewerEvent extends Data.TaggedError("NewerEvent")<Written & { readonly known: number }> {
  override get message() {
    const { known, position, tag, version } = this
    return `the ${tag} at position ${position} has version ${version}, but this Caravel knows only ${known}`
  }
}

/**
 * Upcasts the changes of an event to the current version. They are not yet decoded.
 *
 * @since 0.1.0
 * @category events
 */
export const upcast = (
  written: Written,
  changes: unknown,
  all: Upcasters = upcasters
): Either.Either<unknown, NewerEvent> => {
  const known = versionOf(written.tag, all)
  if (written.version > known) return Either.left(new NewerEvent({ ...written, known }))
  const steps = (all[written.tag] ?? []).slice(written.version - 1)
  try {
    return Either.right(steps.reduce<unknown>((changes, step) => step(changes as Parameters<Upcaster>[0]), changes))
  } catch {
    // Changes that an upcaster cannot convert are malformed; decoding them reports the error.
    return Either.right(changes)
  }
}
