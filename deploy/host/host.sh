#!/bin/sh
# Backstay on one Linux host, without containers: PostgreSQL, Valkey, servers behind nginx with
# TLS, workers, Prometheus with the alerts, and Alertmanager.
#   sh host.sh up FOLDER       starts what does not run; the same command again changes nothing
#   sh host.sh status FOLDER   what runs, and whether it serves
#   sh host.sh down FOLDER     stops everything in order, and keeps all data
#   sh host.sh run FOLDER …    a command of the application, with its settings here: db backups
#   sh host.sh ctl FOLDER …    a command of supervisorctl: restart server:*
# All of it is in FOLDER. These variables are remembered from the last `up`:
#   HOST_PORTS   the first of its ports (8440); HTTPS_PORT (+3) and HTTP_PORT (+0) can be others
#   HOST_USER    who runs it when root starts it (backstay, which is made if there is none)
#   ALERT_SCALE  multiplies thresholds and times of alerts, to see them fire (1)
#   BACKSTAY_PROGRAM SUPERVISORD_PROGRAM NGINX_PROGRAM POSTGRES_PROGRAMS VALKEY_PROGRAM PROMETHEUS_PROGRAM ALERTMANAGER_PROGRAM
#                where these programs are, unless they are where distributions put them
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
deploy=$(dirname "$here")

die() { echo "host.sh: $*" >&2; exit 1; }
usage() { sed -n 's/^#   \(sh host.sh .*\)/\1/p' "$0" >&2; exit 2; }

command=${1:-}
[ -n "${2:-}" ] || usage
case $command in up | status | down) [ $# = 2 ] || usage ;; run | ctl) [ $# -gt 2 ] || usage ;; *) usage ;; esac
[ $command != up ] || mkdir -p "$2"
folder=$(cd "$2" 2> /dev/null && pwd) || die "there is no folder $2 that you may enter"
case $folder$deploy in *[!A-Za-z0-9/._-]*)
  die "$folder and $deploy must be of letters, digits and . _ - only: configuration files name them" ;;
esac
[ ${#folder} -le 70 ] || die "$folder is too long for sockets inside: take one of at most 70 characters"
root=false
[ "$(id -u)" != 0 ] || root=true

as_user() { # a command, as who runs everything
  if $root; then runuser -u "$HOST_USER" -- "$@"; else "$@"; fi
}

become() { # a program of start.sh, with no variable of whoever calls this
  as_user env -i PATH="$PATH" LANG=C.UTF-8 sh "$here/start.sh" "$folder" "$@"
}

ctl() {
  "$(dirname "$SUPERVISORD_PROGRAM")/supervisorctl" -c "$folder/conf/supervisord.conf" "$@"
}

runs() { # whether the process that keeps all others running lives
  [ -S "$folder/supervisor/socket" ] && ctl pid > /dev/null 2>&1
}

known() { # what the last `up` was told, else nothing is here
  [ -r "$folder/conf/host.env" ] || die "there is nothing in $folder: sh host.sh up $folder"
  . "$folder/conf/host.env"
}

probe() { # path, port: whether a server or worker answers 200
  "$(dirname "$BACKSTAY_PROGRAM")/python" "$deploy/probe.py" "$1" "$2"
}

serves() { # whether nginx answers for the domain, with the certificate it has, and a server behind it
  printf 'GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' 'api.example.com' \
    | timeout 10 openssl s_client -quiet -connect "127.0.0.1:$HTTPS_PORT" -servername 'api.example.com' 2> /dev/null \
    | grep '^HTTP/1.1 200 ' > /dev/null
}

wait_for() { # what it is, its log, a command that succeeds when it is ready
  what=$1 log=$2
  shift 2
  left=120
  until "$@" > /dev/null 2>&1; do
    left=$((left - 1))
    if [ $left = 0 ]; then
      tail -n 20 "$folder/logs/$log.log" >&2 || true
      die "$what is not ready after 60 seconds; above are its last lines ($folder/logs/$log.log)"
    fi
    sleep 0.5
  done
}

start() { # programs of supervisord that do not run yet
  for each in "$@"; do
    ctl status "$each" | grep -v RUNNING > /dev/null || continue
    ctl start "$each" > /dev/null || true
    ! ctl status "$each" | grep -v RUNNING >&2 || die "it does not start: its last lines are in $folder/logs"
  done
}

up() {
  . "$here/prepare.sh"
  if runs; then
    ctl update > /dev/null
  else
    env -i PATH="$folder/conf/bin:$PATH" LANG=C.UTF-8 \
      "$SUPERVISORD_PROGRAM" -c "$folder/conf/supervisord.conf" 9>&-
    wait_for supervisord supervisord runs
  fi
  echo "starting PostgreSQL and Valkey"
  start postgres valkey
  wait_for PostgreSQL postgres become ready
  echo "migrating the database"
  become migrate
  echo "starting 2 servers and 2 workers"
  start 'server:*' 'worker:*'
  for n in 1 2; do
    wait_for "server $n" "server-$n" probe /readyz $((HOST_PORTS + 9 + n))
  done
  for n in 1 2; do
    wait_for "worker $n" "worker-$n" probe /livez $((HOST_PORTS + 11 + n))
  done
  echo "starting nginx, Alertmanager and Prometheus"
  start nginx alertmanager prometheus
  for each in nginx alertmanager prometheus; do ctl signal HUP $each > /dev/null; done # new files
  wait_for nginx nginx serves
  tell
}

tell() {
  cat << END
https://api.example.com:$HTTPS_PORT answers on this host:
  curl --cacert $folder/secrets/tls/fullchain.pem --resolve api.example.com:$HTTPS_PORT:127.0.0.1 https://api.example.com:$HTTPS_PORT/health
first administrator's password: $folder/secrets/admin_password
Prometheus: http://127.0.0.1:$((HOST_PORTS + 5))/alerts
Alertmanager: http://127.0.0.1:$((HOST_PORTS + 6))
logs: $folder/logs
END
}

status() {
  known
  runs || { echo "stopped: sh host.sh up $folder"; exit 3; }
  bad=0
  ctl status || bad=1
  serves || { echo "https://api.example.com:$HTTPS_PORT does not serve"; bad=1; }
  [ $bad = 1 ] || tell
  exit $bad
}

down() {
  known
  runs || { echo "nothing runs"; exit 0; }
  pid=$(ctl pid)
  echo "stopping; servers finish their requests for up to 40 seconds"
  ctl shutdown > /dev/null
  while kill -0 "$pid" 2> /dev/null; do sleep 0.2; done
  echo "stopped; the data is in $folder/data"
}

case $command in
  up) up ;;
  status) status ;;
  down) down ;;
  run)
    known
    shift 2
    caller="SUDO_USER=${SUDO_USER:-$(id -un)}" # whom the audit trail names
    as_user env -i PATH="$PATH" LANG=C.UTF-8 TERM="${TERM:-dumb}" "$caller" sh "$here/start.sh" "$folder" run "$@"
    ;;
  ctl)
    known
    shift 2
    ctl "$@"
    ;;
esac
