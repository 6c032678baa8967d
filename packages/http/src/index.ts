/**
 * Caravel over HTTP: the API, which is derived from the commands, its server, and errors as problem details.
 *
 * @since 0.1.0
 */
export { Api } from "./api/Api.js"
export { Authentication } from "./api/Authentication.js"
export * as Credentials from "./api/Credentials.js"
export { Grant, Identity, Role } from "./api/Identity.js"
export * as Problem from "./api/Problem.js"
export * as RequestError from "./api/RequestError.js"
export * as View from "./api/View.js"
export * as Auth from "./auth/Auth.js"
export * as SingleUse from "./auth/SingleUse.js"
export * as Remote from "./Remote.js"
export * as EventStream from "./serve/EventStream.js"
export * as Server from "./Server.js"
