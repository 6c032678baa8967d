/** The application: Caravel's API with its own routes beside it. */
import { type Credentials, Server, SingleUse } from "@caravel/http"
import { Effect, Layer } from "effect"
import * as SignUp from "./SignUp.js"

/** Serves everything on one port. Caravel's routes need a credential of those; the application's own need none. */
export const layer = (credentials: Credentials.Credentials) =>
  Server.layerWithCredentials({ credentials: Effect.succeed(credentials) }).pipe(
    Layer.provide([SignUp.layer, SingleUse.layerMemory])
  )
