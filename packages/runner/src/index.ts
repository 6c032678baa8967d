/**
 * Caravel's host: the program, and where it writes.
 *
 * @since 0.1.0
 */
export * as Cli from "./Cli.js"
export * as Output from "./terminal/Output.js"
