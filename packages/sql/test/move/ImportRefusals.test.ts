/** What an import does not take over, and why. */
import { Command, Query } from "@caravel/domain"
import { Import, Sqlite } from "@caravel/sql"
import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "../fixtures/filled.js"
import { activity, alice, bob, drifts, imported, relay, sourceOf, tenant, wallet } from "../fixtures/importing.js"
import { type Rows, schema, writeSource } from "../fixtures/source.js"
import { temporaryDirectory } from "../fixtures/sqlite.js"

describe("an import", () => {
  const ok: Rows = { tenant: [tenant()], relay: [relay()], activity: [activity(1, "create_relay")] }
  const cases: Record<string, { readonly more: Partial<Rows>; readonly refused: ReadonlyArray<string> }> = {
    "malformed rows": {
      more: {
        tenant: [
          { pubkey: "A".repeat(64), created_at: 1 },
          { pubkey: bob, created_at: 1_600_000_000_000 },
          { pubkey: "c".repeat(64), created_at: 1, nwc_url: "b0b5ecre7" },
          { pubkey: null, created_at: 1 },
          { pubkey: wallet, created_at: 1 }
        ],
        relay: [
          relay({ id: "x y" }),
          relay({ id: "s", subdomain: wallet }),
          relay({ id: "t", subdomain: "t", status: "paused" }),
          relay({ id: "u", subdomain: "u", synced: 2 })
        ]
      },
      refused: [
        "tenant null malformed Its key is not text",
        `tenant ${"A".repeat(64)} malformed pubkey: Expected a public key of 64 lower-case hex characters, got "${
          "A".repeat(64)
        }"`,
        `tenant ${bob} malformed created_at: Expected an instant in Unix seconds, before the year 10000, got 1600000000000`,
        `tenant ${"c".repeat(64)} malformed nwc_url: Expected a URL that begins with nostr+walletconnect://`,
        "tenant <redacted> malformed pubkey: Expected a public key of 64 lower-case hex characters, got \"<redacted>\"",
        "relay s malformed subdomain: Expected a subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end, got \"<redacted>\"",
        "relay t malformed status: Expected one of active, inactive, delinquent, got \"paused\"",
        "relay u malformed synced: Expected 0 or 1, got 2",
        "relay x y malformed id: Expected a relay id of 1 to 64 letters, digits, _ and -, got \"x y\""
      ]
    },
    "malformed activities": {
      more: {
        activity: [
          activity(2, "explode"),
          activity(3, "update_relay", { tenant: "nobody" }),
          activity(4, "update_relay", { id: "" })
        ]
      },
      refused: [
        "activity 00000000-0000-4000-8000-000000000002 malformed activity_type: Expected one of create_tenant, " +
        "update_tenant, create_relay, update_relay, deactivate_relay, activate_relay, fail_relay_sync, " +
        "complete_relay_sync, got \"explode\"",
        "activity 00000000-0000-4000-8000-000000000003 malformed tenant: Expected a public key of 64 lower-case hex " +
        "characters, got \"nobody\"",
        "activity  malformed id: Expected a text of 1 to 256 characters, or an integer, got \"\""
      ]
    },
    "activities of missing rows": {
      more: {
        relay: [relay({ id: "s", subdomain: "s", tenant: bob })],
        activity: [
          activity(2, "update_relay", { resource_id: "nowhere" }),
          activity(3, "update_relay", { resource_id: "s", tenant: bob })
        ]
      },
      refused: [
        "activity 00000000-0000-4000-8000-000000000002 missing There is no row of relay nowhere",
        `activity 00000000-0000-4000-8000-000000000003 missing There is no row of tenant ${bob}`,
        `relay s missing There is no row of tenant ${bob}`
      ]
    },
    "rows that depend on refused rows": {
      more: {
        tenant: [{ pubkey: bob, created_at: -1 }],
        relay: [relay({ id: "s", subdomain: "s", tenant: bob })],
        activity: [
          activity(2, "create_tenant", { tenant: bob, resource_type: "tenant", resource_id: bob }),
          activity(3, "update_relay", { tenant: bob, resource_id: "s" })
        ]
      },
      refused: [
        `activity 00000000-0000-4000-8000-000000000002 dependent The tenant ${bob} is refused: created_at: Expected an ` +
        "instant in Unix seconds, before the year 10000, got -1",
        `activity 00000000-0000-4000-8000-000000000003 dependent The relay s is refused: Its tenant ${bob} is refused: ` +
        "created_at: Expected an instant in Unix seconds, before the year 10000, got -1",
        `tenant ${bob} malformed created_at: Expected an instant in Unix seconds, before the year 10000, got -1`,
        `relay s dependent Its tenant ${bob} is refused: created_at: Expected an instant in Unix seconds, before the ` +
        "year 10000, got -1"
      ]
    },
    duplicates: {
      more: {
        tenant: [tenant({ nwc_error: "second" })],
        relay: [relay({ id: "s" }), relay({ plan: "basic", subdomain: "second" })],
        activity: [activity(1, "update_relay"), activity(2, "update_relay", { resource_id: "s" })]
      },
      refused: [
        "activity 00000000-0000-4000-8000-000000000001 duplicate Its id 00000000-0000-4000-8000-000000000001 is taken",
        "activity 00000000-0000-4000-8000-000000000002 dependent The relay s is refused: Subdomain r belongs to another " +
        "relay; choose another one",
        `tenant ${alice} duplicate Another row has this key`,
        "relay r duplicate Another row has this key",
        "relay s duplicate Subdomain r belongs to another relay; choose another one"
      ]
    },
    "activities that contradict the rows": {
      more: {
        tenant: [{ pubkey: bob, created_at: 1 }],
        activity: [
          activity(2, "update_relay", { tenant: bob }),
          activity(3, "update_tenant", { tenant: bob, resource_type: "tenant", resource_id: alice }),
          activity(4, "create_tenant")
        ]
      },
      refused: [
        `activity 00000000-0000-4000-8000-000000000002 contradictory It names tenant ${bob}, but belongs to ${alice}`,
        `activity 00000000-0000-4000-8000-000000000003 contradictory It names tenant ${bob}, but belongs to ${alice}`,
        "activity 00000000-0000-4000-8000-000000000004 contradictory create_tenant is about a tenant, not about a relay"
      ]
    }
  }
  // Without the keys, which would reject some of the rows.
  const keyless = schema.replaceAll(" PRIMARY KEY", "")
  for (const [name, { more, refused: expected }] of Object.entries(cases)) {
    test(
      `refuses ${name} individually, and imports the rest`,
      Effect.gen(function*() {
        const filename = yield* sourceOf({
          tenant: [...ok.tenant, ...more.tenant ?? []],
          relay: [...ok.relay, ...more.relay ?? []],
          activity: [...ok.activity, ...more.activity ?? []]
        }, keyless)
        const { refused, report } = yield* imported(filename)
        expect(refused.map(({ key, kind, reason, table }) => `${table} ${key} ${kind} ${reason}`)).toEqual(expected)
        expect(report.refused).toBe(expected.length)
        const query = yield* Query
        expect((yield* query.relays).map(({ id, plan }) => [id, plan])).toEqual([["r", "free"]])
        expect((yield* query.activity()).map(({ activityType }) => activityType)).toEqual(["create_relay"])
        expect(yield* drifts).toEqual([])
        // A second import returns the same.
        expect(yield* imported(filename)).toEqual({ refused, report })
      })
    )
  }

  test(
    "reports why a file is not a source",
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const lacking = (file: string) =>
        Effect.map(Effect.flip(imported(join(directory, file))), ({ _tag, message }) => {
          expect(_tag).toBe("UnusableSource")
          return message.replace(`${directory}/${file} `, "")
        })
      const made = (file: string, create: string) =>
        writeSource(join(directory, file), { tenant: [], relay: [], activity: [] }, create)
      expect(yield* lacking("none.db")).toBe("does not exist")
      mkdirSync(join(directory, "folder"))
      expect(yield* lacking("folder")).toBe("cannot be read: it is a directory")
      writeFileSync(join(directory, "notes.txt"), "notes, more than a header's worth of them ".repeat(100))
      expect(yield* lacking("notes.txt")).toBe("cannot be read: file is not a database")
      made("spaced.db", schema)
      const spaced = yield* Effect.flip(imported(join(directory, "spaced.db ")))
      expect(spaced.message).toBe(`${directory}/spaced.db  cannot be read: its name begins or ends with white space`)
      made("table.db", schema.replace("TABLE relay", "TABLE relays"))
      expect(yield* lacking("table.db")).toBe(
        "has no table relay: it is not a database of tenants, relays and their activities"
      )
      made("column.db", schema.replace("resource_id TEXT", "resource TEXT"))
      expect(yield* lacking("column.db")).toBe("has no column activity.resource_id, which cannot be omitted")
      yield* Effect.provide(Effect.asVoid(Query), Sqlite.layer({ filename: join(directory, "ours.db") }))
      expect(yield* lacking("ours.db")).toBe(
        "is a database of this Caravel already: name it with --database, or copy the file"
      )
    })
  )

  test(
    "does not change existing rows, or rows that others change meanwhile",
    Effect.gen(function*() {
      const command = yield* Command
      const { id: taken } = yield* command.createTenant({ pubkey: bob })
      const filename = yield* sourceOf({
        tenant: [tenant(), { pubkey: bob, created_at: 1 }],
        relay: [relay(), relay({ id: "s", subdomain: "s", tenant: bob })],
        activity: [
          activity(1, "create_relay"),
          activity(1, "update_relay", { id: taken }),
          ...Array.from({ length: 2000 }, (_, n) => activity(n + 2, "update_relay"))
        ]
      })
      let refused: ReadonlyArray<Import.Refused> = []
      const report = yield* Import.run({
        source: filename,
        onStep: (progress, some) =>
          Effect.gen(function*() {
            refused = [...refused, ...some]
            if (progress.events > 0 && progress.events < 2000) yield* Effect.orDie(command.deactivateRelay({ id: "r" }))
          })
      })
      expect(report).toMatchObject({ tenants: 1, relays: 0 })
      const kinds = (table: string) =>
        refused.filter((refusal) => refusal.table === table).map(({ key, kind }) => [key, kind])
      expect(kinds("activity")[0]).toEqual([taken, "duplicate"])
      expect(kinds("tenant")).toEqual([[bob, "exists"]])
      expect(kinds("relay")).toEqual([["r", "exists"], ["s", "dependent"]])
      const relays = yield* Effect.flatMap(Query, (query) => query.relays)
      expect(relays.map(({ id, status }) => [id, status])).toEqual([["r", "inactive"]])
      expect(yield* drifts).toEqual([])
    })
  )
})
