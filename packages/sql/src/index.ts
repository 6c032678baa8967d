/**
 * Caravel's storage in SQLite and PostgreSQL.
 *
 * @since 0.1.0
 */
export * as Backup from "./move/backup/Backup.js"
export * as Copy from "./move/copy/Copy.js"
export * as Import from "./move/import/Import.js"
export * as Postgres from "./Postgres.js"
export { OlderSchema, schemaVersion } from "./schema/Migrations.js"
export * as Sqlite from "./Sqlite.js"
export { storageErrors } from "./StorageErrors.js"
