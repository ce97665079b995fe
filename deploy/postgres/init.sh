#!/bin/bash
# Runs once, in an empty database: makes the user and the database of Backstay, who owns it and is
# no superuser, and the user of replicas. Passwords are in no argument. The image reads this file into
# its own shell, hence "(".
(
  set -euo pipefail
  export SECRETS=${SECRETS:-/run/secrets}
  app=${APP_NAME:-backstay}
  psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" \
    --dbname postgres --set=app="$app" <<'SQL'
\set password `cat "$SECRETS/db_password"`
\set replication `cat "$SECRETS/replication_password"`
-- it may create the databases in which backups are proven
CREATE ROLE :"app" LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE :"app" OWNER :"app";
REVOKE CONNECT, TEMPORARY ON DATABASE :"app" FROM PUBLIC;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication';
SQL
)
