#!/bin/sh
# Signs a tenant up with a relay, by curl: CARAVEL_SERVER=http://127.0.0.1:8080 ./sign-up.sh PUBKEY SUBDOMAIN
set -eu
pubkey=$1
subdomain=$2

# Sends a request with a credential, if there is one, and prints the answer. curl tries again, as the server's Retry-After
# says, while the server cannot be reached or restarts. It fails with 22 if the request is refused, and prints the problem.
caravel() {
  path=$1
  shift
  curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused --max-time 30 \
    ${CARAVEL_TOKEN:+--header "authorization: Bearer $CARAVEL_TOKEN"} "$@" "${CARAVEL_SERVER:-http://127.0.0.1:8080}$path"
  echo
}

# The key makes it safe to repeat: both commands are executed once, however often this script is started.
caravel /v1/submit --header 'content-type: application/json' --header "idempotency-key: sign-up $pubkey" --data @- <<END
[
  { "_tag": "CreateTenant", "pubkey": "$pubkey" },
  { "_tag": "CreateRelay", "id": "$subdomain", "tenant": "$pubkey", "subdomain": "$subdomain", "plan": "basic" }
]
END

caravel "/v1/relays/$subdomain"
