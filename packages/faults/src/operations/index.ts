/** The operations that are interrupted, by name. */
import { load } from "./Load.js"
import { erase, migrate, rebuild, rotate } from "./Maintenance.js"
import { backup, copy, importAll, restore } from "./Moves.js"
import type { Operation } from "./Operation.js"

export const operations: { readonly [name: string]: Operation } = {
  full: load("full", false),
  normal: load("normal", true),
  backup: backup(false),
  backupOver: backup(true),
  restore: restore("new"),
  restoreOver: restore("sound"),
  restoreDamaged: restore("damaged"),
  copy,
  import: importAll,
  rebuild,
  migrate: migrate("0004"),
  migrateFirst: migrate("0001"),
  erase,
  rotate
}
