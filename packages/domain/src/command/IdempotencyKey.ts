import { Schema } from "effect"
import { Label } from "../model/Metadata.js"
import { expectedUnseen } from "../model/Text.js"

/**
 * A key that identifies one command of one tenant: 1 to 256 characters. It should be random, such as a UUID: any caller
 * that knows the key can obtain the command's result.
 *
 * @since 0.1.0
 * @category models
 */
export const IdempotencyKey = Label.pipe(Schema.brand("IdempotencyKey")).annotations({
  identifier: "IdempotencyKey",
  ...expectedUnseen("an idempotency key: well-formed text of 1 to 256 characters, none of them NUL")
})

/**
 * @since 0.1.0
 * @category models
 */
export type IdempotencyKey = typeof IdempotencyKey.Type

/**
 * How long keys are kept, unless an adapter is configured otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export const defaultIdempotencyKeysKept = "7 days"
