/** The kinds of faults that are looked for, in the order of a run. */
import { crashes } from "./crashes/Crashes.js"
import { disks } from "./disks/Disks.js"
import { input } from "./input/Input.js"
import type { Kind } from "./Kind.js"
import { postgres } from "./postgres/BadNetwork.js"
import { power } from "./power/Power.js"
import { simulation } from "./simulation/Simulation.js"
import { soak, soakPostgres } from "./soak/Soak.js"

export const kinds: { readonly [name: string]: Kind } = {
  simulation,
  postgres,
  input,
  crashes,
  power,
  disks,
  soak,
  "soak-postgres": soakPostgres
}
