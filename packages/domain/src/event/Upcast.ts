/**
 * Events of older versions, read as today's. What an event of a tag looks like is its schema's to say (`Event`); when
 * that changes, its version grows by one, and what was written before stays as it is and is brought up to date here,
 * each time it is read.
 */
import { Data, Either } from "effect"
import type { EventTag } from "./EventTable.js"

/**
 * Turns the changes that an event of one version holds, as JSON has them, into those of the next version.
 *
 * @since 0.1.0
 * @category models
 */
export type Upcaster = (changes: { readonly [field: string]: unknown }) => unknown

/**
 * By the tags of events: the first upcaster leads from version 1 to 2, the next from 2 to 3. A tag that has none is at
 * version 1 still.
 *
 * @since 0.1.0
 * @category models
 */
export type Upcasters = { readonly [Tag in EventTag]?: ReadonlyArray<Upcaster> }

/**
 * The upcasters of all events that have ever changed. To change one, change its schema in `Event` and add a line, as
 * `RelayCreated: [(changes) => ({ ...changes, region: "eu" })]`. No line is ever changed or removed.
 *
 * @since 0.1.0
 * @category events
 */
export const upcasters: Upcasters = {}

/**
 * The version of the events of this tag that are written today.
 *
 * @since 0.1.0
 * @category events
 */
export const versionOf = (tag: EventTag, all: Upcasters = upcasters): number => 1 + (all[tag]?.length ?? 0)

/**
 * An event as it was written: of this tag and version, at this position.
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
 * An event was written by a newer program, which knows more versions. To recover, read it with that program.
 *
 * @since 0.1.0
 * @category errors
 */
export class NewerEvent extends Data.TaggedError("NewerEvent")<Written & { readonly known: number }> {
  override get message() {
    return `the ${this.tag} at position ${this.position} is of version ${this.version}, this Caravel knows ${this.known}`
  }
}

/**
 * The changes of an event as today's program has them, before they are decoded.
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
    // What an upcaster cannot take is malformed, and its schema will say so.
    return Either.right(changes)
  }
}
