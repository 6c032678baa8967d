import Pg from "pg"

/**
 * A client for the driver's pool. `pg` reads certificate files while it makes a client; the pool expects no error there, and
 * also makes clients in event listeners, where an error would end the process. This client fails when it connects.
 */
export const Client = function(config: Pg.ClientConfig): Pg.Client {
  try {
    return new Pg.Client(config)
  } catch (cause) {
    return Object.assign(new Pg.Client({}), {
      connect: (callback: (cause: unknown) => void) => process.nextTick(callback, cause)
    })
  }
} as unknown as new() => Pg.ClientBase
