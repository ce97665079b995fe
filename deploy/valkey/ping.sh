#!/bin/sh
# Whether Valkey answers.
set -eu
REDISCLI_AUTH=$(cat "${SECRETS:-/run/secrets}/redis_password")
export REDISCLI_AUTH
[ "$(valkey-cli -p "${REDIS_PORT:-6379}" ping)" = PONG ]
