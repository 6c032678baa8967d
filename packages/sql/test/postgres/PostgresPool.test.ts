import { nextTurn } from "@caravel/domain/adapter"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"
import * as PostgresConnection from "../../src/postgres/PostgresConnection.js"
import * as PostgresPool from "../../src/postgres/PostgresPool.js"
import * as Patience from "../../src/statement/Patience.js"
import { withPostgres } from "../fixtures/postgres.js"

withPostgres("PostgreSQL: a pool", (url) => {
  const pool = (max: number) => PostgresPool.make({ connectionString: url, max }, { watched: "all" })
  const pidOf = (connection: PostgresConnection.PostgresConnection) =>
    Effect.map(connection.executeValues("SELECT pg_backend_pid()", []), ([row]) => row?.[0])

  /** A proxy to the server that forwards its first connection, and never answers the others. */
  const answeringFirst = Effect.gen(function*() {
    const target = new URL(url)
    const sockets: Array<Socket> = []
    let hang: () => void = () => {}
    const hanging = new Promise<void>((resolve) => hang = resolve)
    const server = yield* Effect.acquireRelease(
      Effect.async<Server>((resume) => {
        const server = createServer((client) => {
          sockets.push(client)
          if (sockets.length > 1) return hang()
          const upstream = connect(Number(target.port || 5432), target.hostname)
          sockets.push(upstream)
          client.pipe(upstream)
          upstream.pipe(client)
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
    )
    const through = new URL(url)
    through.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
    return { url: through.href, hanging }
  })

  it.scopedLive("forgets those who have given up waiting, however many they are", () =>
    Effect.gen(function*() {
      const { acquire, isInUse, release } = yield* pool(1)
      const connection = yield* acquire()
      const past = Patience.make(performance.now() - 60_000)
      const waiters = yield* Effect.forEach(
        Array.from({ length: 10_000 }),
        () => Effect.flip(acquire(past)),
        { concurrency: "unbounded" }
      )
      expect(new Set(waiters.map(({ cause }) => String(cause))).size).toBe(1)
      const next = yield* Effect.fork(acquire())
      release(connection)
      const taken = yield* next
      expect(yield* pidOf(taken)).toBe(yield* pidOf(connection))
      release(taken)
      expect(isInUse()).toBe(false)
    }))

  it.scopedLive("lends to those who wait, in order, as many connections as it may have", () =>
    Effect.gen(function*() {
      const { scoped } = yield* pool(3)
      let lent = 0
      let most = 0
      const order: Array<number> = []
      yield* Effect.forEach(Array.from({ length: 200 }, (_, n) => n), (n) =>
        Effect.scoped(Effect.gen(function*() {
          const connection = yield* scoped()
          order.push(n)
          most = Math.max(most, ++lent)
          yield* connection.executeRaw("SELECT 1", [])
          lent--
        })), { concurrency: "unbounded" })
      expect(most).toBe(3)
      expect(order).toEqual([...order].sort((one, other) => one - other))
    }))

  it.scopedLive("ends the wait of a caller that is interrupted", () =>
    Effect.gen(function*() {
      const { acquire, isInUse, release, scoped } = yield* pool(1)
      const connection = yield* acquire()
      for (const wait of [Effect.scoped(scoped()), acquire()]) {
        const waiting = yield* Effect.fork(wait)
        yield* nextTurn
        expect(Exit.isInterrupted(yield* Fiber.interrupt(waiting))).toBe(true)
      }
      release(connection)
      expect(isInUse()).toBe(false)
    }))

  it.scopedLive("lends an idle connection, while another is opened for a caller that has given up", () =>
    Effect.gen(function*() {
      const { hanging, url } = yield* answeringFirst
      const { acquire, release } = yield* PostgresPool.make({ connectionString: url, max: 2 }, { watched: "all" })
      const first = yield* acquire()
      const pid = yield* pidOf(first)
      const waiting = yield* Effect.fork(acquire())
      yield* Effect.promise(() => hanging)
      yield* Fiber.interrupt(waiting)
      release(first)
      expect(yield* pidOf(yield* acquire())).toBe(pid)
    }))

  it.scopedLive("keeps a connection after a transaction, and closes one that is still in it", () =>
    Effect.gen(function*() {
      const { acquire, release } = yield* pool(1)
      const used = <E>(use: (connection: PostgresConnection.PostgresConnection) => Effect.Effect<unknown, E>) =>
        Effect.gen(function*() {
          const connection = yield* acquire()
          const pid = yield* pidOf(connection)
          yield* Effect.exit(use(connection))
          release(connection)
          return pid
        })
      const pids = [
        yield* used(({ executeRaw }) => executeRaw("BEGIN; SELECT 1; COMMIT", [])),
        yield* used(({ send }) => send([["BEGIN", []], ["SELECT 1", []], ["ROLLBACK", []]])),
        yield* used(({ executeRaw }) => executeRaw("not SQL", [])),
        yield* used(({ executeRaw }) => Effect.zipRight(executeRaw("BEGIN", []), executeRaw("not SQL", []))),
        yield* used(({ executeRaw }) => executeRaw("BEGIN", [])),
        yield* used(({ executeRaw }) => executeRaw("SELECT 1", []))
      ]
      expect(new Set(pids.slice(0, 4)).size).toBe(1)
      expect(new Set(pids.slice(3)).size).toBe(3)
    }))
})

it.scopedLive("a connection that cannot be made leaves no socket open", () =>
  Effect.gen(function*() {
    let closed: () => void = () => {}
    const isClosed = new Promise<void>((resolve) => closed = resolve)
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        createServer((socket) => {
          // Asks for a way to authenticate that the driver does not know.
          const mechanism = Buffer.from("OTHER\0\0")
          const message = Buffer.alloc(9 + mechanism.length)
          message.write("R")
          message.writeInt32BE(message.length - 1, 1)
          message.writeInt32BE(10, 5)
          mechanism.copy(message, 9)
          socket.once("data", () => socket.write(message))
          socket.on("error", () => {}).on("close", closed)
        }).listen(0, "127.0.0.1")
      ),
      (server) => Effect.sync(() => server.close())
    )
    yield* Effect.async<void>((resume) => {
      server.once("listening", () => resume(Effect.void))
    })
    const { port } = server.address() as AddressInfo
    const connect = PostgresConnection.connect({ connectionString: `postgres://caravel@127.0.0.1:${port}/none` })
    expect(String((yield* Effect.flip(connect)).cause)).toContain("SCRAM-SHA-256")
    yield* Effect.promise(() => isClosed)
  }))
