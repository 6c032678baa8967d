/** What other private packages use of the benchmarks. */
export * as Machine from "./Machine.js"
export * as PostgresSchema from "./PostgresSchema.js"
