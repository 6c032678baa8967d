/** A proxy in front of a PostgreSQL server that breaks connections at a chosen message. */
import { Effect, type Scope } from "effect"
import { connect, createServer, type Server, type Socket } from "node:net"
import { Messages } from "./Messages.js"

/**
 * Where a connection breaks: at which message from then on, from which side, and how much of it still arrives. `later`:
 * all of it, but only after the sender has noticed.
 */
export interface Cut {
  readonly from: "client" | "server"
  readonly message: number
  readonly arrives: "nothing" | "half" | "all" | "later"
}

/** How messages arrive: as they were sent, byte by byte, or late. */
export type Pace = "whole" | "bytes" | "late"

/** A proxy. */
export interface Proxy {
  /** The URL of the server through the proxy. */
  readonly url: string
  /** Breaks the connection at a message that is still to come, and lets new connections through. */
  readonly arm: (cut: Cut) => Effect.Effect<void>
  /** Whether the connection was broken. If it was not, it will not be. Everything that arrives later has arrived. */
  readonly disarm: Effect.Effect<boolean>
  readonly setPace: (pace: Pace) => Effect.Effect<void>
}

const pieces = (message: Buffer, pace: Pace): ReadonlyArray<Buffer> =>
  pace === "bytes" ? Array.from(message, (byte) => Buffer.of(byte)) : [message]

const later = (pace: Pace) =>
  new Promise<void>((resolve) => {
    // A delay of the network's is not the program's clock.
    // @effect-diagnostics-next-line globalTimers:off
    if (pace === "late") setTimeout(resolve, 3)
    else setImmediate(resolve)
  })

/** By then, in milliseconds, senders are silent because they wait; and a late message arrives in any case. */
const silence = { quiet: 400, longest: 2_000 }

/** Waits until the sender of a message that was lost has reconnected and asked for its outcome. */
const overdue = (lastSent: () => number) =>
  new Promise<void>((resolve) => {
    const since = performance.now()
    const look = () => {
      const [now, last] = [performance.now(), lastSent()]
      const hasAsked = last > since && now - last > silence.quiet
      if (hasAsked || now - since > silence.longest) resolve()
      // @effect-diagnostics-next-line globalTimers:off
      else setTimeout(look, 20)
    }
    look()
  })

const listen = (onConnection: (client: Socket) => void) =>
  Effect.acquireRelease(
    Effect.async<Server>((resume) => {
      const server = createServer({ noDelay: true }, onConnection)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )

/** A proxy in front of the server of a URL. It ends with the scope. */
export const make = (url: string): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const target = new URL(url)
    const sockets = new Set<Socket>()
    let cut: Cut | undefined
    let seen = 0
    let broken = false
    let late: Promise<void> = Promise.resolve()
    /** When a client last sent a message. */
    let lastSent = 0
    let pace: Pace = "whole"

    /** Forwards what one side sends. The connection ends when it is broken, or when either side ends it. */
    const forward = (from: Cut["from"], source: Socket, sink: Socket) => {
      const messages = new Messages(from)
      let last: Promise<void> = Promise.resolve()
      const send = async (message: Buffer) => {
        if (sink.destroyed) return
        if (from === "client") lastSent = performance.now()
        if (cut?.from !== from || ++seen !== cut.message) {
          for (const piece of pieces(message, pace)) {
            if (pace !== "whole") await later(pace)
            sink.write(piece)
          }
          return
        }
        const { arrives } = cut
        cut = undefined
        broken = true
        if (arrives === "half") sink.write(message.subarray(0, Math.ceil(message.length / 2)))
        if (arrives === "all") sink.write(message)
        source.destroy()
        if (arrives === "later") {
          late = overdue(() => lastSent)
          await late
          sink.write(message)
        }
        sink.end()
      }
      source.on("data", (data: Buffer) => {
        for (const message of messages.push(data)) last = last.then(() => send(message))
      })
      source.on("error", () => {})
      source.on("close", () => {
        sockets.delete(source)
        void last.then(() => sink.end())
      })
      sockets.add(source)
    }
    const server = yield* listen((client) => {
      const upstream = connect({ port: Number(target.port || 5432), host: target.hostname, noDelay: true })
      forward("client", client, upstream)
      forward("server", upstream, client)
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
      })
    )
    const address = server.address()
    const through = new URL(url)
    through.hostname = "127.0.0.1"
    through.port = String(typeof address === "object" && address !== null ? address.port : 0)
    return {
      url: through.href,
      arm: (next) =>
        Effect.sync(() => {
          cut = next
          seen = 0
          broken = false
        }),
      disarm: Effect.promise(async () => {
        cut = undefined
        await late
        return broken
      }),
      setPace: (next) => Effect.sync(() => void (pace = next))
    }
  })
