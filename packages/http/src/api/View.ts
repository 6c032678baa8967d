/** Tenants and relays as the API shows them: of a secret, only that it is set. */
import type { Relay, RelayState, ResourceType, Tenant, TenantState } from "@caravel/domain"
import { fieldIn, resources } from "@caravel/domain/adapter"
import { Record as Rec, Schema, String as Str } from "effect"

type Resources = typeof resources
type Model<Type extends ResourceType> = Resources[Type]["model"]["Type"]

/**
 * A resource with `set` or null in place of its secret.
 *
 * @since 0.1.0
 * @category models
 */
export type View<Type extends ResourceType> = {
  readonly [Name in keyof Model<Type>]: Name extends Resources[Type]["secret"] ? "set" | null : Model<Type>[Name]
}

const IsSet = Schema.NullOr(
  Schema.Literal("set").annotations({ description: "set if there is a value, which is not shown" })
)

/**
 * The schema of a view.
 *
 * @since 0.1.0
 * @category models
 */
export const schema = <Type extends ResourceType>(type: Type): Schema.Schema<View<Type>, any> => {
  const { model, secret } = resources[type]
  const fields: Schema.Struct.Fields = Rec.map(
    model.fields as Schema.Struct.Fields,
    (field, name) => name === secret ? IsSet : field
  )
  return Schema.Struct(fields).annotations({ identifier: Str.capitalize(type) }) as unknown as Schema.Schema<View<Type>>
}

/**
 * The view of a resource that `Query` returned, or of a state of the past.
 *
 * @since 0.1.0
 * @category conversions
 */
export const of = <Type extends ResourceType>(
  type: Type,
  resource: Tenant | TenantState | Relay | RelayState
): View<Type> => {
  const { secret } = resources[type]
  const view = secret === undefined
    ? resource
    : { ...resource, [secret]: fieldIn(resource, secret) === null ? null : "set" }
  return view as object as View<Type>
}

/**
 * The schema of a resource's secrets, in clear, for the one route that answers them.
 *
 * @since 0.1.0
 * @category models
 */
export const secrets = <Type extends ResourceType>(
  type: Type
): Schema.Schema<{ readonly [Name in Resources[Type]["secret"] & string]: string | null }, any> => {
  const { secret } = resources[type]
  const fields = secret === undefined ? {} : { [secret]: Schema.NullOr(Schema.String) }
  return Schema.Struct(fields).annotations({ identifier: `${Str.capitalize(type)}Secrets` }) as any
}
