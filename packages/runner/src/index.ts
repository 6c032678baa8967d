/**
 * Caravel's command line program, and the streams that it writes to.
 *
 * @since 0.1.0
 */
export * as Cli from "./Cli.js"
export * as Output from "./terminal/Output.js"
