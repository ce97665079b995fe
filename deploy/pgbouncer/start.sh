#!/bin/sh
# Starts PgBouncer with the password of Backstay, which it needs in clear to sign in for clients.
set -eu
umask 077
printf '"backstay" "%s"\n' "$(cat "${SECRETS:-/run/secrets}/db_password")" > /tmp/userlist.txt
exec pgbouncer "${1:-/etc/backstay/pgbouncer.ini}"
