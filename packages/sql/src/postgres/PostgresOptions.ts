/** How to connect to a PostgreSQL database. It names no type of the driver or of Node, so it compiles without both. */
import type { Duration, Redacted } from "effect"
import type * as Opening from "../database/Opening.js"

/** How connections are secured, as Node's `tls.connect` takes it. Certificates and keys are in PEM format. */
export interface TlsOptions {
  /** The certificate authorities to trust in place of the well-known ones. */
  readonly ca?: string | Uint8Array | Array<string | Uint8Array> | undefined
  /** The certificate of the client. */
  readonly cert?: string | Uint8Array | undefined
  /** The private key of the client. */
  readonly key?: string | Uint8Array | undefined
  readonly passphrase?: string | undefined
  /** Whether the server's certificate must be valid; true by default. */
  readonly rejectUnauthorized?: boolean | undefined
  /** The name that the server's certificate must be for; the host of the URL by default. */
  readonly servername?: string | undefined
}

/** The database, and how to connect to it. */
export interface Options extends Opening.Options {
  /** Such as `postgres://user:password@host:5432/database`. */
  readonly url: Redacted.Redacted
  /**
   * The schema of all tables, created if it does not exist. By default it is the role's own (`search_path`), usually
   * `public`.
   */
  readonly schema?: string | undefined
  /**
   * Whether missing tables are created; true by default. Otherwise opening a database without them fails with reason
   * `missing`.
   */
  readonly create?: boolean | undefined
  /** Whether to use TLS, and how. The URL must not contradict it (`sslmode`). */
  readonly ssl?: boolean | TlsOptions | undefined
  /**
   * The maximum number of connections for callers' own statements and transactions; 10 by default. Caravel uses up to 8
   * more, one that listens, and one more for each verification, backup, copy or erasure that runs.
   */
  readonly maxConnections?: number | undefined
  /**
   * How processes notice one another's commits. `listen`, the default: they notify one another, and also poll every two
   * seconds. `poll`: they only poll, five times a second; required behind PgBouncer in transaction mode.
   */
  readonly wakeUps?: "listen" | "poll" | undefined
  /**
   * How long a transaction of yours may be idle, or one of its statements may run, after a command in it: no other
   * command can be written until it ends. After that the server ends the transaction. A transaction's COMMIT, which runs
   * your deferred constraints and triggers, may also take that long. 10 seconds by default; `Duration.infinity` for no
   * bound.
   */
  readonly holdTimeout?: Duration.DurationInput | undefined
}
