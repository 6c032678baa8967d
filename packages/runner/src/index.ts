/**
 * Caravel's host: the program and its parts.
 *
 * @since 0.1.0
 */
export * as Arguments from "./Arguments.js"
export * as BackupCommands from "./BackupCommands.js"
export * as Backups from "./Backups.js"
export * as Cli from "./Cli.js"
export * as CommandOptions from "./CommandOptions.js"
export * as Consumers from "./Consumers.js"
export * as Copy from "./Copy.js"
export * as Demo from "./Demo.js"
export * as Help from "./Help.js"
export * as HistoryCommands from "./HistoryCommands.js"
export * as Import from "./Import.js"
export * as Lines from "./Lines.js"
export * as Output from "./Output.js"
export * as Past from "./Past.js"
export * as ProgressBar from "./ProgressBar.js"
export * as Read from "./Read.js"
export * as ReadCommands from "./ReadCommands.js"
export * as Render from "./Render.js"
export * as RenderPast from "./RenderPast.js"
export * as Run from "./Run.js"
export * as SentWith from "./SentWith.js"
export * as Steps from "./Steps.js"
export * as Verify from "./Verify.js"
