import { issuesOf, StorageError } from "@caravel/domain"
import { NewerEvent } from "@caravel/domain/adapter"
import { SqlError } from "@effect/sql/SqlError"
import { ParseResult } from "effect"
import { SecretKeyMissing } from "../schema/SecretCodec.js"
import type { Dialect } from "../statement/Dialect.js"

/**
 * Converts an error of the database to a `StorageError` with the operation that failed and the reason. A row that does
 * not decode was not written by Caravel, and its values may be secrets: the error says what is wrong with the row,
 * without its values.
 */
export const toStorageError =
  (dialect: Dialect, operation: string) =>
  (error: { readonly _tag: string; readonly message: string; readonly cause?: unknown }): StorageError =>
    error.cause instanceof StorageError
      ? error.cause
      : error instanceof SqlError
      ? new StorageError({
        reason: dialect.reasonOf(error.cause),
        operation,
        cause: error.cause ?? error,
        advice: dialect.adviceOf(error.cause),
        passes: dialect.isTransient(error.cause) || undefined
      })
      : new StorageError({
        reason: error instanceof NewerEvent ? "newer" : error instanceof SecretKeyMissing ? "key" : "corrupt",
        operation,
        cause: new Error(ParseResult.isParseError(error) ? issuesOf(error).join("; ") : error.message)
      })
