import { type ActivityFilter, Position, Pubkey, RelayId } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { activitiesWhere, relaysWhere } from "../../src/read/Where.js"
import { planOf } from "../fixtures/sqlite.js"

/** SQLite's query plan of the activities that match. */
const planOfFilter = (filter: Partial<ActivityFilter>) => {
  const [clause, params] = activitiesWhere({ after: Position.make(0), ...filter, limit: 100 })
  return planOf(`SELECT * FROM caravel_activity ${clause}`, params)
}

it.scoped("activities are found by the index of their resource, their tenant or their type, in this order", () =>
  Effect.gen(function*() {
    const activityType = "fail_relay_sync"
    const tenant = Pubkey.make("a".repeat(64))
    const byType = "SEARCH caravel_event USING INDEX caravel_event_activity_type"
    expect(yield* planOfFilter({ activityType })).toEqual([`${byType} (activity_type=? AND rowid>?)`])
    expect(yield* planOfFilter({ activityType, upTo: Position.make(9) })).toEqual([
      `${byType} (activity_type=? AND rowid>? AND rowid<?)`
    ])
    expect(yield* planOfFilter({ activityType: [activityType, "create_relay"] })).toContain(
      `${byType} (activity_type=? AND rowid>?)`
    )
    expect(yield* planOfFilter({ activityType, tenant })).toEqual([
      "SEARCH caravel_event USING INDEX caravel_event_tenant (tenant=? AND rowid>?)"
    ])
    expect((yield* planOfFilter({ activityType, tenant, resourceId: RelayId.make("a") }))[0]).toMatch(
      /INDEX sqlite_autoindex.*resource_id=\?/
    )
  }).pipe(Effect.provide(Sqlite.layerTemporary)))

it("a value that is asked for twice is in the statement once: each number of values is another statement", () => {
  expect(relaysWhere({ status: ["active", "inactive", "active"] })).toEqual(
    relaysWhere({ status: ["active", "inactive"] })
  )
})
