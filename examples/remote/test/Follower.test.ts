import { Command } from "@caravel/domain"
import { Remote } from "@caravel/http"
import { Sqlite } from "@caravel/sql"
import { pubkey } from "@caravel/testing"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as FileSystem from "@effect/platform/FileSystem"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Queue } from "effect"
import { join } from "node:path"
import { follow } from "../src/Follower.js"
import { host } from "./host.js"

/** A host, with commands beside it, a file for the checkpoint, and a worker elsewhere. */
const world = Effect.gen(function*() {
  const services = yield* Layer.build(Sqlite.layerTemporary)
  const directory = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
  const path = join(directory, "checkpoint.json")
  const handled = yield* Queue.unbounded<number>()
  const url = yield* host(services)
  return {
    path,
    command: Context.get(services, Command),
    next: Queue.take(handled),
    /** Runs until it is interrupted. */
    worker: follow(path, ({ position }) => Queue.offer(handled, position)).pipe(Effect.provide(Remote.layer({ url })))
  }
})

it.scopedLive("a worker that is restarted continues after the last activity that it has handled", () =>
  Effect.gen(function*() {
    const { command, next, path, worker } = yield* world
    const fs = yield* FileSystem.FileSystem
    yield* command.createTenant({ pubkey: pubkey("alice") })
    const first = yield* Effect.fork(worker)
    expect(yield* next).toBe(1)
    yield* command.createTenant({ pubkey: pubkey("bob") })
    expect(yield* next).toBe(2)
    const stored = Effect.map(fs.readFileString(path), (text) => text.includes("\"position\":2"))
    yield* Effect.repeat(Effect.zipLeft(stored, Effect.yieldNow()), { until: (stored) => stored })
    yield* Fiber.interrupt(first)

    yield* command.createTenant({ pubkey: pubkey("carol") })
    yield* Effect.forkScoped(worker)
    expect(yield* next).toBe(3)
  }).pipe(Effect.provide(NodeFileSystem.layer)))

it.scopedLive("a worker stops if its position is of another epoch than the database", () =>
  Effect.gen(function*() {
    const { command, path, worker } = yield* world
    const fs = yield* FileSystem.FileSystem
    yield* command.createTenant({ pubkey: pubkey("alice") })
    const epoch = "01234567-89ab-4cde-8f01-23456789abcd"
    yield* fs.writeFileString(path, JSON.stringify({ epoch, position: 1 }))
    expect(yield* Effect.flip(worker)).toMatchObject({ _tag: "PositionFromOtherEpoch", epoch })
  }).pipe(Effect.provide(NodeFileSystem.layer)))
