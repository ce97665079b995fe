#!/bin/sh
# Starts NATS with one user, whose password is a file.
set -eu
NATS_PASSWORD=$(cat "${SECRETS:-/run/secrets}/nats_password")
export NATS_PASSWORD
exec nats-server --config "${1:-$(dirname "$0")/nats.conf}"
