/** Creates a relay, and prints those that are active: `CARAVEL_SERVER=http://127.0.0.1:8080 npm start -- PUBKEY SUBDOMAIN`. */
import process from "node:process"
import { connect, createRelay, relays } from "./Client.js"

const [tenant, subdomain] = process.argv.slice(2)
if (tenant === undefined || subdomain === undefined) {
  process.stderr.write("Usage: npm start -- PUBKEY SUBDOMAIN\n")
  process.exit(1)
}
const client = connect(process.env["CARAVEL_SERVER"] ?? "http://127.0.0.1:8080", process.env["CARAVEL_TOKEN"])

const created = await createRelay(client, { id: subdomain, tenant, subdomain }, `create ${subdomain}`)
if (created === undefined) process.stdout.write(`${subdomain} is taken\n`)
for await (const id of relays(client, "active")) process.stdout.write(`${id}\n`)
