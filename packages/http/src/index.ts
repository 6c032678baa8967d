/**
 * Caravel over HTTP: the API, which is derived from the commands, its server, and errors as problem details.
 *
 * @since 0.1.0
 */
export { Api } from "./Api.js"
export * as EventStream from "./EventStream.js"
export * as Problem from "./Problem.js"
export * as RequestError from "./RequestError.js"
export * as Server from "./Server.js"
export * as View from "./View.js"
