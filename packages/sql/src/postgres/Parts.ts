/** What needs the driver, to be loaded at once. */
export * as PostgresDatabase from "./PostgresDatabase.js"
export * as PostgresWatch from "./PostgresWatch.js"
