#!/bin/sh
# Part of host.sh: finds the programs, makes FOLDER, its secrets, the configuration files and, once,
# the database. The configuration files are those of the folders beside this one, with the ports and
# paths of this host in them; they are written again by every `up`.

shared="HOST_PORTS HOST_USER HTTP_PORT HTTPS_PORT ALERT_SCALE
  BACKSTAY_PROGRAM SUPERVISORD_PROGRAM NGINX_PROGRAM POSTGRES_PROGRAMS VALKEY_PROGRAM PROMETHEUS_PROGRAM ALERTMANAGER_PROGRAM"
missing=

find_program() { # variable, what to install, then names or patterns of paths
  variable=$1 package=$2
  shift 2
  eval "found=\${$variable:-}"
  for each in "$@"; do
    [ -z "$found" ] || break
    case $each in */*) [ ! -x "$each" ] || found=$each ;; *) found=$(command -v "$each" || true) ;; esac
  done
  if [ -z "$found" ] || [ ! -x "$found" ]; then
    missing="$missing
  ${found:-$1} is missing: install $package, or say where it is: $variable=…"
  fi
  eval "$variable=\$found"
}

find_programs() {
  project=$(dirname "$deploy")
  find_program BACKSTAY_PROGRAM "the project into a virtual environment" "$project/.venv/bin/backstay" \
    "$project/venv/bin/backstay" backstay
  find_program SUPERVISORD_PROGRAM "supervisor (pip install supervisor)" \
    "$(dirname "${BACKSTAY_PROGRAM:-.}")/supervisord" supervisord
  find_program NGINX_PROGRAM nginx nginx /usr/sbin/nginx
  # the newest of them
  find_program POSTGRES_PROGRAMS postgresql $(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | sort -rV) \
    "$(dirname "$(command -v initdb || echo ./none)")" /usr/pgsql-*/bin
  find_program VALKEY_PROGRAM "valkey or redis-server" valkey-server redis-server
  find_program PROMETHEUS_PROGRAM prometheus prometheus
  find_program ALERTMANAGER_PROGRAM prometheus-alertmanager prometheus-alertmanager alertmanager
  command -v openssl > /dev/null || missing="$missing
  openssl is missing: install it"
  [ -z "$missing" ] || die "this host lacks programs:$missing"
}

remember() { # what was said, now or before, else what is usual
  for each in $shared; do eval "said_$each=\${$each:-}"; done
  [ ! -r "$folder/conf/host.env" ] || . "$folder/conf/host.env"
  for each in $shared; do eval "[ -z \"\$said_$each\" ] || $each=\$said_$each"; done
  HOST_PORTS=${HOST_PORTS:-8440} ALERT_SCALE=${ALERT_SCALE:-1} HOST_USER=${HOST_USER:-backstay}
  $root || HOST_USER=$(id -un)
  case $HOST_PORTS in *[!0-9]*) die "HOST_PORTS is a number, the first of the ports" ;; esac
  [ -n "${HTTP_PORT:-}" ] || HTTP_PORT=$HOST_PORTS
  [ -n "${HTTPS_PORT:-}" ] || HTTPS_PORT=$((HOST_PORTS + 3))
  find_programs
  for each in $shared; do eval "value=\$$each"; case $value in *[!A-Za-z0-9/._+-]*)
    die "$each may have letters, digits and / . _ + - only: $value" ;;
  esac; done
}

make_folders() {
  if $root && ! id "$HOST_USER" > /dev/null 2>&1; then
    useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "$HOST_USER"
    echo "made the user $HOST_USER"
  fi
  # what is executed or read by root belongs to root
  mkdir -p "$folder/conf/bin" "$folder/logs" "$folder/cache" "$folder/supervisor"
  chmod 700 "$folder/supervisor"
  for each in data state backups logs/app secrets acme; do
    [ -d "$folder/$each" ] || { mkdir -m 700 "$folder/$each" && $root && chown "$HOST_USER:" "$folder/$each" || true; }
  done
  as_user test -r "$here/start.sh" -a -x "$folder/conf" \
    || die "the user $HOST_USER may not enter $here and $folder: put them where all may, as in /opt and /srv"
  as_user "$BACKSTAY_PROGRAM" --version > /dev/null \
    || die "the user $HOST_USER cannot run $BACKSTAY_PROGRAM or its Python: put both where all may enter, as in /opt"
  exec 9> "$folder/supervisor/lock"
  flock -n 9 || die "another up of $folder is under way"
  for each in $shared; do eval "echo \"$each=\$$each\""; done > "$folder/conf/host.env.new"
  mv "$folder/conf/host.env.new" "$folder/conf/host.env"
  ln -sf "$VALKEY_PROGRAM" "$folder/conf/bin/valkey-server"
}

swap() { # file, old, new: every old in it, of which there must be one
  grep -qF -- "$2" "$1" || die "$(basename "$1") in $deploy has no \"$2\" any more, which stands for what differs on this host"
  OLD=$2 NEW=$3 awk '{
    done = ""
    while (at = index($0, ENVIRON["OLD"])) {
      done = done substr($0, 1, at - 1) ENVIRON["NEW"]
      $0 = substr($0, at + length(ENVIRON["OLD"]))
    }
    print done $0
  }' "$1" > "$1.swapped"
  mv "$1.swapped" "$1"
}

configure_nginx() {
  to=$folder/conf/nginx
  mkdir -p "$to"
  cp "$deploy"/nginx/*.conf "$to"
  swap "$to/nginx.conf" "listen 443 " "listen $HTTPS_PORT "
  swap "$to/nginx.conf" "listen 80 " "listen $HTTP_PORT "
  if [ -s /proc/net/if_inet6 ]; then
    swap "$to/nginx.conf" "[::]:443 " "[::]:$HTTPS_PORT "
    swap "$to/nginx.conf" "[::]:80 " "[::]:$HTTP_PORT "
  else
    swap "$to/nginx.conf" "listen [::]" "# no IPv6: listen [::]"
  fi
  swap "$to/nginx.conf" "127.0.0.1:8081" "127.0.0.1:$((HOST_PORTS + 1))"
  [ "$HTTPS_PORT" = 443 ] || swap "$to/nginx.conf" 'https://api.example.com$' "https://api.example.com:$HTTPS_PORT\$"
  swap "$to/nginx.conf" /run/nginx.pid "$folder/supervisor/nginx.pid"
  swap "$to/nginx.conf" /etc/ssl/backstay/ "$folder/secrets/tls/"
  swap "$to/nginx.conf" /var/www/acme "$folder/acme"
  swap "$to/nginx.conf" "error_log /var/log/nginx/error.log" "error_log stderr"
  swap "$to/nginx.conf" /var/log/nginx/access.log /dev/stdout # supervisord rotates it
  temporary=
  for each in client_body proxy fastcgi uwsgi scgi; do temporary="$temporary ${each}_temp_path $folder/cache/$each;"; done
  swap "$to/nginx.conf" "http {" "http {$temporary"
  case $("$NGINX_PROGRAM" -v 2>&1) in */1.1* | */1.2[0-4].*) # before `http2` was a directive of its own
    swap "$to/nginx.conf" "http2 on;" ""
    swap "$to/nginx.conf" "$HTTPS_PORT ssl;" "$HTTPS_PORT ssl http2;" ;;
  esac
  servers=
  for n in 1 2; do
    servers="$servers server 127.0.0.1:$((HOST_PORTS + 9 + n)) max_fails=1 fail_timeout=2s;"
  done
  swap "$to/servers.conf" "resolver 127.0.0.11 valid=2s ipv6=off;" ""
  swap "$to/servers.conf" "server api:8000 resolve max_fails=1 fail_timeout=2s;" "$servers"
  # through a pipe, as under supervisord: it opens its standard output, which may be another user's
  told=$("$NGINX_PROGRAM" -t -q -p "$folder/cache" -c "$to/nginx.conf" -e stderr 2>&1) \
    || die "nginx refuses $to/nginx.conf: $told"
}

targets() { # first port, number
  n=0 list=
  while [ $n -lt "$2" ]; do list="$list${list:+, }127.0.0.1:$(($1 + n))" n=$((n + 1)); done
  echo "{targets: [$list]}"
}

configure_monitoring() {
  to=$folder/conf/prometheus
  mkdir -p "$to/rules"
  cp "$deploy/prometheus/prometheus.yml" "$to"
  cp "$deploy/alertmanager/alertmanager.yaml" "$to"
  for each in "$deploy"/prometheus/rules/*.yaml; do
    ALERT_SCALE=$ALERT_SCALE "$(dirname "$BACKSTAY_PROGRAM")/python" "$deploy/prometheus/scale.py" "$each" \
      > "$to/rules/$(basename "$each")"
  done
  [ "$ALERT_SCALE" = 1 ] || swap "$to/prometheus.yml" "_interval: 15s" "_interval: 1s"
  swap "$to/prometheus.yml" dns_sd_configs: static_configs:
  swap "$to/prometheus.yml" "{names: [alertmanager], type: A, port: 9093}" "$(targets $((HOST_PORTS + 6)) 1)"
  swap "$to/prometheus.yml" "{names: [api], type: A, port: 8000, refresh_interval: 10s}" \
    "$(targets $((HOST_PORTS + 10)) 2)"
  swap "$to/prometheus.yml" "{names: [worker], type: A, port: 8001, refresh_interval: 10s}" \
    "$(targets $((HOST_PORTS + 12)) 2)"
  swap "$to/prometheus.yml" /run/secrets/ "$folder/secrets/"
  ! grep -qF /run/secrets/ "$to/alertmanager.yaml" || swap "$to/alertmanager.yaml" /run/secrets/ "$folder/secrets/"
}

make_database() { # beside, and renamed when it is whole
  [ ! -s "$folder/data/postgres/PG_VERSION" ] || return 0
  echo "making the database"
  become initdb > "$folder/logs/initdb.log" 2>&1 \
    || { tail -n 20 "$folder/logs/initdb.log" >&2; die "the database cannot be made ($folder/logs/initdb.log)"; }
}

remember
make_folders
as_user sh "$deploy/prepare.sh" "$folder"
configure_nginx
configure_monitoring
sed -e "s|@folder@|$folder|g" -e "s|@here@|$here|g" -e "s|@user@|$HOST_USER|g" \
  "$here/supervisord.conf" > "$folder/conf/supervisord.conf"
make_database
