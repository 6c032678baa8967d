/** Requests whose connections are closed or broken, in a server of Node. */

/** A response of `node:http`. Its types are not imported: browsers that use `Remote` have none of Node. */
interface NodeResponse {
  readonly req: { readonly complete: boolean }
  destroyed: boolean
  end: (...args: Array<any>) => unknown
  readonly once: (event: "close", listener: () => void) => unknown
  readonly emit: (event: "close") => boolean
}

interface NodeRequest {
  readonly socket: NodeConnection
}

/** A server of `node:http` or `node:https`. */
interface NodeServer {
  on(event: "request", listener: (request: NodeRequest, response: NodeResponse) => void): unknown
  on(event: "upgrade", listener: (request: NodeRequest, socket: NodeSocket) => void): unknown
  on(event: "clientError", listener: (error: NodeError, connection: NodeConnection) => void): unknown
}

interface NodeSocket {
  readonly on: (event: "error", listener: () => void) => unknown
}

interface NodeConnection {
  readonly writable: boolean
  /** The response that is being sent, which may be Node's own: 417 for what a client expects, or 400 without a host. */
  readonly _httpMessage?: { readonly headersSent: boolean } | null
  readonly once: (event: "close", listener: () => void) => unknown
  readonly write: (text: string) => unknown
  readonly destroy: () => unknown
  readonly destroySoon: () => unknown
}

interface NodeError {
  readonly code?: string
}

/** Node calls what waits for the end of a response only when it is sent, so the platform would wait for ever. */
const callBackOnClose = (response: NodeResponse) => {
  const end = response.end
  response.end = (...args) => {
    const onSent: unknown = args.at(-1)
    if (typeof onSent !== "function") return end.apply(response, args)
    let isCalled = false
    const callOnce = (...results: Array<unknown>) => {
      if (!isCalled) onSent(...results)
      isCalled = true
    }
    if (response.destroyed) queueMicrotask(callOnce)
    else response.once("close", callOnce)
    return end.apply(response, [...args.slice(0, -1), callOnce])
  }
}

/** Node closes only the response that it is sending, and not those of the requests after it (pipelining). */
const close = (response: NodeResponse) => {
  response.destroyed = true
  response.emit("close")
}

/** What Node answers to what is not HTTP, by the code of its error. */
const refusals = new Map([
  ["ERR_HTTP_REQUEST_TIMEOUT", "408 Request Timeout"],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", "413 Payload Too Large"],
  ["HPE_HEADER_OVERFLOW", "431 Request Header Fields Too Large"]
])

const refusalOf = ({ code = "" }: NodeError) =>
  `HTTP/1.1 ${refusals.get(code) ?? "400 Bad Request"}\r\nConnection: close\r\n\r\n`

/**
 * Ends each request of a server of Node when its connection is closed, and returns the server. Without this, the fiber
 * of a request whose client disconnects before it has received the whole response never ends, so that a host that runs
 * for long needs more and more memory; a client that asks for another protocol (`Upgrade`) and then resets its
 * connection ends the process; and a request that is followed by bytes that are not HTTP may be answered with 400
 * although it is executed. Must be called before the server is given to the platform:
 *
 *     NodeHttpServer.layer(() => Server.endAbandoned(createServer()), { port: 8080 })
 *
 * The platform listens for requests that ask for another protocol, so that an application can have WebSockets. Node then
 * does not read their bodies: the command of a client that offers HTTP/2, as Java's does (`Upgrade: h2c`), arrives empty
 * and is refused. If your application has no WebSockets, call `removeAllListeners("upgrade")` on the server once its layers
 * are built, as `caravel serve` does.
 *
 * @since 0.1.0
 * @category running
 */
export const endAbandoned = <Server extends NodeServer>(server: Server): Server => {
  const unanswered = new WeakMap<NodeConnection, Set<NodeResponse>>()
  const broken = new WeakSet<NodeConnection>()
  const begin = (socket: NodeConnection) => {
    const responses = new Set<NodeResponse>()
    unanswered.set(socket, responses)
    // Node's own listeners come first: those that they close are then no longer among the responses.
    socket.once("close", () => queueMicrotask(() => responses.forEach(close)))
    return responses
  }
  // Node no longer listens itself, so an error would end the process. The socket closes after it.
  server.on("upgrade", (_, socket) => socket.on("error", () => {}))
  // Node would answer the first of the waiting requests, although the error is about what follows the last one.
  server.on("clientError", (error, socket) => {
    const whole = [...unanswered.get(socket) ?? []].findLast(({ req }) => req.complete)
    if (whole === undefined) {
      if (socket.writable && socket._httpMessage?.headersSent !== true) socket.write(refusalOf(error))
      socket.destroy()
    } else if (!broken.has(socket)) whole.once("close", () => socket.destroySoon())
    broken.add(socket)
  })
  server.on("request", ({ socket }, response) => {
    const responses = unanswered.get(socket) ?? begin(socket)
    responses.add(response)
    response.once("close", () => responses.delete(response))
    callBackOnClose(response)
  })
  return server
}
