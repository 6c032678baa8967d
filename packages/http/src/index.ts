/**
 * Caravel over HTTP: the API, which is derived from the commands, its server, and errors as problem details.
 *
 * @since 0.1.0
 */
export { Api } from "./Api.js"
export * as Auth from "./Auth.js"
export { Authentication } from "./Authentication.js"
export * as Credentials from "./Credentials.js"
export * as EventStream from "./EventStream.js"
export { Grant, Identity, Role } from "./Identity.js"
export * as Problem from "./Problem.js"
export * as Remote from "./Remote.js"
export * as RequestError from "./RequestError.js"
export * as Server from "./Server.js"
export * as SingleUse from "./SingleUse.js"
export * as View from "./View.js"
