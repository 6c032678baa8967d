import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"

/**
 * The path of a request, without its query.
 *
 * @since 0.1.0
 * @category accessors
 */
export const pathOf = ({ url }: HttpServerRequest.HttpServerRequest): string => url.replace(/\?.*$/s, "")
