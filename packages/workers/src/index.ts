/**
 * Workers that follow the activity log: the provisioner, and the port to the machines that serve relays.
 *
 * @since 0.1.0
 */
export * as Provisioner from "./Provisioner.js"
export * as RelayHost from "./RelayHost.js"
