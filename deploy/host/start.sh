#!/bin/sh
# Becomes one of the programs of this host: start.sh FOLDER NAME [number, or words of a command].
# supervisord.conf names those that keep running; host.sh uses the others.
set -eu
umask 077
folder=$1 name=$2 number=1
case $name in server | worker) number=$3 ;; esac
here=$(cd "$(dirname "$0")" && pwd)
deploy=$(dirname "$here")
. "$folder/conf/host.env"
export PATH="$folder/conf/bin:$POSTGRES_PROGRAMS:$PATH" SECRETS="$folder/secrets" HOME="$folder/state"
export TMPDIR="$folder/state/tmp"
sockets=$folder/state

application() { # the settings of the application: those of settings.env, and where it finds the others
  mkdir -p "$TMPDIR"
  cd "$folder/state"
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in [A-Z]*=*) export "$line" ;; esac
  done < "$deploy/settings.env"
  [ "$HTTPS_PORT" = 443 ] || export APP_PUBLIC_URL="https://api.example.com:$HTTPS_PORT"
  export ENVIRONMENT=production LOG_DIR="$folder/logs/app"
  export DB_HOST=127.0.0.1 DB_PORT=$((HOST_PORTS + 2)) DB_NAME=backstay DB_USER=backstay
  export REDIS_HOST=127.0.0.1 REDIS_PORT=$((HOST_PORTS + 4))
  export SERVER_HOST=127.0.0.1 SERVER_PORT=$((HOST_PORTS + 9 + number)) SERVER_TRUSTED_PROXIES=127.0.0.1/32
  export SECURITY_SECRET_KEY_FILE="$SECRETS/secret_key" ADMIN_PASSWORD_FILE="$SECRETS/admin_password"
  export SECURITY_REFRESH_TOKEN_SECRET_FILE="$SECRETS/refresh_token_secret"
  export APP_METRICS_TOKEN_FILE="$SECRETS/metrics_token"
  [ -n "${BACKUP_DIR:-${DB_BACKUP_DIR:-}}" ] || export BACKUP_DIR="$folder/backups"
  export DB_PASSWORD_FILE="$SECRETS/db_password" REDIS_PASSWORD_FILE="$SECRETS/redis_password"
}

initdb() { # made beside, with a server that listens to nobody, and renamed when it is whole
  new=$folder/data/postgres.new
  rm -rf "$new"
  command initdb --pgdata="$new" --username=postgres --pwfile="$SECRETS/postgres_password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums --no-instructions
  pg_ctl --pgdata="$new" --wait --log="$new/first.log" --options="-c listen_addresses='' \
    -c unix_socket_directories='$sockets' -c port=$((HOST_PORTS + 2))" start
  trap 'pg_ctl --pgdata="$new" --wait --mode=immediate stop' EXIT
  superuser bash "$deploy/postgres/init.sh"
  trap - EXIT
  pg_ctl --pgdata="$new" --wait stop
  mv "$new" "$folder/data/postgres"
}

superuser() { # a command that reads PostgreSQL's variables
  PGHOST=$sockets PGPORT=$((HOST_PORTS + 2)) PGPASSWORD=$(cat "$SECRETS/postgres_password") "$@"
}

case $name in
  initdb) initdb ;;
  ready) superuser psql --no-psqlrc --quiet --username=postgres --dbname=backstay --command="SELECT 1" ;;
  postgres)
    exec postgres -D "$folder/data/postgres" -c config_file="$deploy/postgres/primary.conf" \
      -c hba_file="$deploy/postgres/pg_hba.conf" -c listen_addresses=127.0.0.1 -c port=$((HOST_PORTS + 2)) \
      -c unix_socket_directories="$sockets" -c max_connections=90 \
      -c shared_buffers=128MB
    ;;
  valkey)
    cd "$folder/state"
    export CACHE_MIB=128 REDIS_PORT=$((HOST_PORTS + 4)) REDIS_BIND=127.0.0.1
    exec sh "$deploy/valkey/start.sh"
    ;;
  migrate)
    application
    LOG_DIR='' exec "$BACKSTAY_PROGRAM" db upgrade
    ;;
  run)
    application
    shift 2
    LOG_DIR='' exec "$BACKSTAY_PROGRAM" "$@"
    ;;
  server)
    application
    exec "$BACKSTAY_PROGRAM" serve
    ;;
  worker)
    application
    exec "$BACKSTAY_PROGRAM" worker --port $((HOST_PORTS + 11 + number))
    ;;
  nginx)
    [ "$(id -u)" != 0 ] || user="user $HOST_USER $(id -gn "$HOST_USER");"
    exec "$NGINX_PROGRAM" -p "$folder/cache" -c "$folder/conf/nginx/nginx.conf" -e stderr -g "daemon off; ${user:-}"
    ;;
  prometheus)
    exec "$PROMETHEUS_PROGRAM" --config.file="$folder/conf/prometheus/prometheus.yml" \
      --storage.tsdb.path="$folder/data/prometheus" --storage.tsdb.retention.time=30d \
      --web.listen-address=127.0.0.1:$((HOST_PORTS + 5))
    ;;
  alertmanager)
    exec "$ALERTMANAGER_PROGRAM" --config.file="$folder/conf/prometheus/alertmanager.yaml" \
      --storage.path="$folder/data/alertmanager" --cluster.listen-address= \
      --web.listen-address=127.0.0.1:$((HOST_PORTS + 6))
    ;;
  *)
    echo "start.sh: there is no $name" >&2
    exit 2
    ;;
esac
