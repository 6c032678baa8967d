/** A client without Effect. Its types are generated from the OpenAPI document: `npm run generate`. */
import createClient from "openapi-fetch"
import type { components, paths } from "./caravel.d.ts"

type Relay = components["schemas"]["Relay"]

export const connect = (baseUrl: string, token?: string) =>
  createClient<paths>({ baseUrl, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })

type Client = ReturnType<typeof connect>

/**
 * Creates a relay, and returns it; or undefined, if another has the subdomain. The key makes it safe to repeat when the
 * answer is lost.
 */
export const createRelay = async (
  client: Client,
  body: { readonly id: string; readonly tenant: string; readonly subdomain: string },
  key: string
): Promise<Relay | undefined> => {
  const { error } = await client.POST("/v1/commands/create-relay", {
    body,
    params: { header: { "idempotency-key": key } }
  })
  // Problems are told apart by their type, and the compiler knows which there are.
  if (error?.type === "urn:caravel:problem:subdomain-taken") return undefined
  if (error !== undefined) throw new Error(error.detail)
  const { data } = await client.GET("/v1/relays/{id}", { params: { path: { id: body.id } } })
  return data
}

/** The ids of all relays with a status, page by page. */
export async function* relays(client: Client, status: Relay["status"]): AsyncGenerator<string> {
  let cursor: string | undefined
  do {
    const query = { status: [status], limit: 100, ...(cursor === undefined ? {} : { cursor }) }
    const { data, error } = await client.GET("/v1/relays", { params: { query } })
    if (error !== undefined) throw new Error(error.detail)
    for (const { id } of data.items) yield id
    cursor = data.cursor
  } while (cursor !== undefined)
}
