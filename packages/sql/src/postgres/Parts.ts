/** The modules that need the driver `pg`, loaded together. */
/** The database. */
export * as PostgresDatabase from "./PostgresDatabase.js"
/** The watch on others' commits. */
export * as PostgresWatch from "./PostgresWatch.js"
