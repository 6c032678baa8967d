import type { Effect, Scope } from "effect"
import type { OpenOptions } from "../Subject.js"
import * as CaravelHost from "./CaravelHost.js"
import * as NaiveHost from "./NaiveHost.js"

/**
 * The subjects that are served over HTTP, each as an effect that returns the port.
 *
 * @since 0.1.0
 * @category subjects
 */
export const served: { readonly [name: string]: (options: OpenOptions) => Effect.Effect<number, never, Scope.Scope> } =
  {
    "caravel-http": CaravelHost.serve,
    "naive-http": NaiveHost.serve
  }
