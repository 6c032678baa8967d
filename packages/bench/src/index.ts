/** What other private packages use of the benchmarks. */
export * as CommandLine from "./CommandLine.js"
export * as Machine from "./Machine.js"
export * as PostgresSchema from "./PostgresSchema.js"
