/**
 * Caravel over SQL.
 *
 * @since 0.1.0
 */
export * as Backup from "./Backup.js"
export * as Copy from "./Copy.js"
export * as Import from "./Import.js"
export * as Postgres from "./Postgres.js"
export * as Sqlite from "./Sqlite.js"
