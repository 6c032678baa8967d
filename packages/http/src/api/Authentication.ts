/** The middleware in front of every route that needs a credential, and how the OpenAPI document describes it. */
import { StorageError } from "@caravel/domain"
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as HttpApiSecurity from "@effect/platform/HttpApiSecurity"
import * as OpenApi from "@effect/platform/OpenApi"
import { Record as Rec, Schema } from "effect"
import { Identity } from "./Identity.js"
import * as Problem from "./Problem.js"
import { BodyTooLarge, Forbidden, TooManyRequests, Unauthorized } from "./RequestError.js"

/**
 * Finds out whose request it is, and refuses what that identity may not do. An application that mounts the API provides
 * one of the layers of `Auth`, or its own.
 *
 * @since 0.1.0
 * @category middleware
 */
export class Authentication extends HttpApiMiddleware.Tag<Authentication>()("@caravel/http/Authentication", {
  provides: Identity,
  failure: Schema.Union(
    Problem.schema(Unauthorized),
    Problem.schema(Forbidden),
    Problem.schema(BodyTooLarge),
    Problem.schema(TooManyRequests),
    Problem.schema(StorageError)
  ),
  security: {
    bearer: HttpApiSecurity.annotate(
      HttpApiSecurity.bearer,
      OpenApi.Description,
      "A token of the host's configuration."
    )
  }
}) {}

/**
 * Adds NIP-98, for which `HttpApiSecurity` has no type, beside bearer tokens.
 *
 * @since 0.1.0
 * @category documentation
 */
export const withNostr = (spec: Record<string, any>): Record<string, any> => {
  spec["components"].securitySchemes.nostr = {
    type: "http",
    scheme: "Nostr",
    description: "NIP-98: the base64 of an event of kind 27235 that signs the URL, the method and the hash of the body."
  }
  for (const methods of Rec.values(spec["paths"] as Record<string, Record<string, any>>)) {
    for (const { security } of Rec.values(methods)) if (security.length > 0) security.push({ nostr: [] })
  }
  return spec
}
