import type { PostgresSubject } from "../PostgresSubject.js"
import type { Subject } from "../Subject.js"
import * as Caravel from "./Caravel.js"
import * as Drizzle from "./Drizzle.js"
import * as Emmett from "./Emmett.js"
import * as EventLog from "./EventLog.js"
import * as Kysely from "./Kysely.js"
import * as NaiveEffect from "./NaiveEffect.js"
import * as PostgresCaravel from "./PostgresCaravel.js"
import * as PostgresEmmett from "./PostgresEmmett.js"
import * as PostgresNaive from "./PostgresNaive.js"
import * as Raw from "./Raw.js"

/**
 * All subjects that execute commands, in the order in which they take turns.
 *
 * @since 0.1.0
 * @category subjects
 */
export const subjects: { readonly [name: string]: Subject } = {
  raw: Raw.make(1),
  raw64: Raw.make(64),
  naive: NaiveEffect.subject,
  eventlog: EventLog.subject,
  emmett: Emmett.subject,
  drizzle: Drizzle.subject,
  "drizzle-prepared": Drizzle.preparedSubject,
  kysely: Kysely.subject,
  caravel: Caravel.sqlite,
  "caravel-memory": Caravel.memory
}

/**
 * All subjects on PostgreSQL.
 *
 * @since 0.1.0
 * @category subjects
 */
export const postgresSubjects: { readonly [name: string]: PostgresSubject } = {
  "postgres-naive": PostgresNaive.subject,
  "postgres-naive-ordered": PostgresNaive.ordered,
  "postgres-emmett": PostgresEmmett.subject,
  "postgres-caravel": PostgresCaravel.subject
}

/**
 * The subject with this name, which must exist.
 *
 * @since 0.1.0
 * @category subjects
 */
export const subjectNamed = (name: string): Subject => {
  const subject = subjects[name]
  if (subject === undefined) throw new Error(`no subject is called ${name}`)
  return subject
}
