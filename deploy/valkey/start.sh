#!/bin/sh
# Starts Valkey as a cache: nothing on disk, the oldest keys go first. Its password is in no argument.
set -eu
password=$(cat "${SECRETS:-/run/secrets}/redis_password")
exec valkey-server - <<SETTINGS
requirepass $password
save ""
appendonly no
maxmemory ${CACHE_MIB:?MiB of keys}mb
maxmemory-policy allkeys-lru
port ${REDIS_PORT:-6379}
bind ${REDIS_BIND:-* -::*}
SETTINGS
