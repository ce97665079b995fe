#!/bin/bash
# Copies the primary when there is no data yet, then starts as its hot standby. The arguments are
# those of postgres, and must not have fewer connections than the primary.
set -euo pipefail
data=${PGDATA:?the folder of the data}
slot=${REPLICA_SLOT:-replica}
if [ ! -s "$data/PG_VERSION" ]; then
  PGPASSWORD=$(cat "${SECRETS:-/run/secrets}/replication_password")
  export PGPASSWORD
  primary=(--host="${PRIMARY_HOST:?}" --port="${PRIMARY_PORT:-5432}" --username=replicator)
  # what an interrupted copy left is no database
  copy="$data.copy"
  rm -rf "$copy"
  mkdir -p "$(dirname "$data")"
  pg_receivewal "${primary[@]}" --slot="$slot" --create-slot --if-not-exists
  pg_basebackup "${primary[@]}" --pgdata="$copy" --slot="$slot" --wal-method=stream \
    --checkpoint=fast --write-recovery-conf
  chmod 700 "$copy"
  rm -rf "$data"
  mv "$copy" "$data"
  unset PGPASSWORD
fi
exec postgres -D "$data" "$@"
