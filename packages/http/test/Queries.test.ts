import { Command, Journal } from "@caravel/domain"
import { pubkey } from "@caravel/testing"
import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { get, onEach } from "./fixtures/served.js"

const alice = pubkey("alice")
const bob = pubkey("bob")

/** Alice with five relays, of which two are inactive, and Bob with one. */
const furnished = Effect.gen(function*() {
  const command = yield* Command
  yield* command.createTenant({ pubkey: alice })
  yield* command.createTenant({ pubkey: bob })
  for (const id of ["a", "b", "c", "d", "e"]) yield* command.createRelay({ id, tenant: alice, subdomain: id })
  yield* command.createRelay({ id: "z", tenant: bob, subdomain: "z", plan: "growth" })
  yield* command.deactivateRelay({ id: "b" })
  yield* command.markRelayDelinquent({ id: "d" })
  yield* command.setTenantPastDue(bob)
})

/** The ids on all pages of a list. */
const walked = (path: string, key: string) =>
  Effect.gen(function*() {
    const pages: Array<ReadonlyArray<string>> = []
    let cursor: string | undefined
    do {
      const query = new URLSearchParams({ limit: "2", ...(cursor === undefined ? {} : { cursor }) })
      const { json, status } = yield* get(`${path}${path.includes("?") ? "&" : "?"}${query}`)
      expect(status).toBe(200)
      pages.push(json.items.map((item: any) => item[key]))
      cursor = json.cursor
    } while (cursor !== undefined)
    return pages
  })

describe("lists", () => {
  onEach(
    "come in pages, each row once, the last page without a cursor",
    Effect.gen(function*() {
      expect(yield* walked("/v1/relays", "id")).toEqual([[]])
      yield* furnished
      expect(yield* walked("/v1/relays", "id")).toEqual([["a", "b"], ["c", "d"], ["e", "z"]])
      expect(yield* walked(`/v1/tenants/${alice}/relays`, "id")).toEqual([["a", "b"], ["c", "d"], ["e"]])
      expect((yield* walked("/v1/tenants", "pubkey")).flat()).toEqual([alice, bob].sort())
    })
  )

  onEach(
    "are filtered",
    Effect.gen(function*() {
      yield* furnished
      const ids = (query: string) => Effect.map(walked(`/v1/relays?${query}`, "id"), (pages) => pages.flat())
      expect(yield* ids("status=inactive")).toEqual(["b"])
      expect(yield* ids("status=inactive&status=delinquent")).toEqual(["b", "d"])
      expect(yield* ids(`tenant=${bob}`)).toEqual(["z"])
      expect(yield* ids("plan=growth")).toEqual(["z"])
      expect(yield* ids("synced=true")).toEqual([])
      expect(yield* ids("subdomain=c")).toEqual(["c"])
      expect(yield* ids("subdomain=nobody")).toEqual([])
      expect(yield* walked("/v1/tenants?pastDue=true", "pubkey")).toEqual([[bob]])
      expect(yield* walked("/v1/tenants?pastDue=false", "pubkey")).toEqual([[alice]])
    })
  )

  onEach(
    "refuse malformed parameters, and say which",
    Effect.gen(function*() {
      for (
        const [path, parameter] of [
          ["/v1/relays?limit=0", "limit"],
          ["/v1/relays?limit=1001", "limit"],
          ["/v1/relays?limit=ten", "limit"],
          ["/v1/relays?cursor=%20", "cursor"],
          ["/v1/relays?status=gone", "status.0"],
          ["/v1/relays?synced=yes", "synced"],
          ["/v1/relays?staus=active", "staus"],
          ["/v1/tenants?tenant=a", "tenant"],
          ["/v1/activity?since=1", "since"],
          ["/v1/activity/stream?after=1", "after"],
          ["/v1/events?limit=1&x=1", "x"],
          ["/v1/tenants?cursor=a", "cursor"],
          ["/v1/activity?after=-1", "after"],
          ["/v1/activity?activityType=none", "activityType.0"],
          ["/v1/tenants/nobody", "pubkey"]
        ] as const
      ) {
        const { json } = yield* get(path)
        expect([path, json.status, json.issues[0].path]).toEqual([path, 400, parameter])
      }
    })
  )
})

describe("one resource", () => {
  onEach(
    "has its version as ETag, and is a problem if there is none",
    Effect.gen(function*() {
      yield* furnished
      const relay = yield* get("/v1/relays/b")
      expect(relay.json).toMatchObject({ id: "b", tenant: alice, status: "inactive", version: 2 })
      expect(relay.headers.get("etag")).toBe("\"2\"")
      expect((yield* get(`/v1/tenants/${alice}`)).json).toMatchObject({ pubkey: alice, nwcUrl: null, version: 1 })
      expect((yield* get("/v1/relays/none")).json).toMatchObject({ status: 404, id: "none" })
      expect((yield* get(`/v1/tenants/${pubkey("none")}`)).json).toMatchObject({ status: 404, pubkey: pubkey("none") })
    })
  )
})

describe("activity", () => {
  onEach(
    "is a page after a position, with the epoch to keep with it",
    Effect.gen(function*() {
      yield* furnished
      const { json } = yield* get("/v1/activity?after=2&limit=2")
      expect(json.items.map(({ position }: any) => position)).toEqual([3, 4])
      expect(json.epoch).toBe(yield* Effect.flatMap(Journal, ({ epoch }) => epoch))
    })
  )

  onEach(
    "is filtered by tenant, resource and type",
    Effect.gen(function*() {
      yield* furnished
      const positions = (query: string) =>
        Effect.map(get(`/v1/activity?${query}`), ({ json }) => json.items.map(({ position }: any) => position))
      expect(yield* positions(`tenant=${bob}`)).toEqual([2, 8])
      expect(yield* positions("resourceId=b")).toEqual([4, 9])
      expect(yield* positions("resourceType=tenant")).toEqual([1, 2])
      expect(yield* positions(`resourceType=relay&tenant=${bob}`)).toEqual([8])
      expect(yield* positions("activityType=create_tenant&activityType=deactivate_relay")).toEqual([1, 2, 9, 10])
      expect(yield* positions("resourceType=relay&activityType=create_tenant")).toEqual([])
      expect(yield* positions("after=1&upTo=3")).toEqual([2, 3])
    })
  )
})
