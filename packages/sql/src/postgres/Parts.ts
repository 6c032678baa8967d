/** The modules that need the driver `pg`, loaded together. */
export * as PostgresDatabase from "./PostgresDatabase.js"
export * as PostgresWatch from "./PostgresWatch.js"
