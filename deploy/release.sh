#!/bin/sh
# Brings a release of Backstay to this machine while it serves: one server after another, behind nginx.
#   release.sh deploy VERSION [WHAT]  VERSION is a tag or commit of the project's clone; with WHAT, which
#                                     is what pip installs (a wheel, a folder), it is any name
#   release.sh rollback               goes back to the release before; the schema stays as it is
#   release.sh status
#   release.sh run WORD…              a command of the release that has migrated last: run db current
# The first server is the gatekeeper: if the release is not ready there in time, that server gets the
# one before, and nothing else is touched. Interrupted, the same command continues.
set -eu
umask 022

# What differs on a machine is in this file: assignments, and functions for what is called here.
CONF=${RELEASE_CONF:-/etc/backstay/release.conf}
# releases/, and in instances/ which of them each process runs
FOLDER=/opt/backstay
# the ports of servers and workers, which are the names of their instances, too
SERVERS="8001 8002"
WORKERS="8101"
# with the port behind it, this is what the next four commands are given
SERVER=backstay-api@
WORKER=backstay-worker@
START="systemctl start"
STOP="systemctl stop" # waits until it has stopped
RUNS="systemctl is-active --quiet"
LOG="journalctl --lines 20 --no-pager --output cat --unit"
MIGRATE=by_unit
RUN=by_copy # is given the words of a command
UNITS=/run/systemd/system
INSTALL=from_clone # is given VERSION, the folder of the release, WHAT
NGINX=nginx
UPSTREAM=/etc/nginx/servers.conf # empty where the proxy is on another machine
# seconds until a process must be ready
LIMIT=60
# how many releases stay
KEEP=3
# shellcheck source=/dev/null
if [ -e "$CONF" ]; then . "$CONF"; fi

say() { printf '%s\n' "$*"; }

fail() {
  printf 'release.sh: %s\n' "$*" >&2
  exit 1
}

of_link() { # of instances/…, or current: the release it leads to, or nothing
  [ ! -h "$FOLDER/$1" ] || basename "$(readlink "$FOLDER/$1")"
}

lead() { # link, release: at once, as a process may start from it at any moment
  case $1 in */*) target=../releases/$2 ;; *) target=releases/$2 ;; esac
  ln -sfn "$target" "$FOLDER/$1.new" && mv -fT "$FOLDER/$1.new" "$FOLDER/$1"
}

is_whole() { [ -s "$FOLDER/releases/$1/release.env" ]; }

answers() { # port, release
  url=http://127.0.0.1:$1
  curl --fail --silent --max-time 4 --output /dev/null "$url/readyz" \
    && curl --silent --max-time 4 "$url/health" | grep -qF "\"version\":\"$2\""
}

comes_up() { # name of a process, port, release
  end=$(($(date +%s) + LIMIT))
  until answers "$2" "$3"; do
    $RUNS "$1" > /dev/null || return 1
    [ "$(date +%s)" -lt "$end" ] || return 1
    sleep 1
  done
}

share() { # nginx gives requests to all servers but this one; a single server stays
  [ -n "$UPSTREAM" ] || return 0
  for port in $SERVERS; do
    [ "$port" = "$1" ] || say "server 127.0.0.1:$port max_fails=1 fail_timeout=2s;"
  done > "$UPSTREAM.new"
  [ -s "$UPSTREAM.new" ] || say "server 127.0.0.1:$1;" > "$UPSTREAM.new"
  [ ! -e "$UPSTREAM" ] || cp -p "$UPSTREAM" "$UPSTREAM.old"
  mv -f "$UPSTREAM.new" "$UPSTREAM"
  if ! $NGINX -t -q; then
    [ ! -e "$UPSTREAM.old" ] || mv -f "$UPSTREAM.old" "$UPSTREAM"
    fail "nginx refuses its configuration, for the reason above; it goes on with the one before"
  fi
  rm -f "$UPSTREAM.old"
  $NGINX -s reload || fail "nginx does not run, or may not be told: start it, then run this again"
}

run_as() { # name of a process, port, release
  # what it starts may outlive this, and is not to keep the lock
  lead "instances/$2" "$3" && $START "$1" > /dev/null 9>&- && comes_up "$1" "$2" "$3"
}

replace() { # name of a process, port, release: 1 if it did not come up, and has the one before
  before=$(of_link "instances/$2")
  [ "$before" != "$3" ] || before=$(of_link current)
  $STOP "$1" > /dev/null || fail "$1 cannot be stopped"
  if run_as "$1" "$2" "$3"; then
    say "$1 runs $3"
    return
  fi
  printf '%s\n' "release.sh: $1 is not ready as $3. Its last lines:" >&2
  $LOG "$1" >&2 || :
  $STOP "$1" > /dev/null || :
  if [ -z "$before" ] || [ "$before" = "$3" ]; then
    rm -f "$FOLDER/instances/$2"
    fail "there is no release before $3 that $1 could run: it stays down"
  fi
  run_as "$1" "$2" "$before" || fail "nor is it as $before: it gets no requests. Look at its log"
  say "$1 runs $before again"
  return 1
}

has() { [ "$(of_link "instances/$1")" = "$2" ] && answers "$1" "$2"; }

roll() { # release
  is_first=yes
  for server in $SERVERS; do
    if has "$server" "$1"; then
      say "$SERVER$server runs $1"
    else
      share "$server"
      if ! replace "$SERVER$server" "$server" "$1"; then
        share ""
        [ -z "$is_first" ] || fail "$1 is not good: no other process was touched"
        fail "$1 is not on all servers: deploy again, or roll back"
      fi
    fi
    is_first=
  done
  share ""
  # After the servers: an old worker leaves jobs that it does not know to the new ones. A worker that
  # stops finishes its jobs or gives them back; those that are enqueued meanwhile wait for seconds.
  for worker in $WORKERS; do
    has "$worker" "$1" || replace "$WORKER$worker" "$worker" "$1" \
      || fail "$1 is not on all workers: deploy again, or roll back"
  done
}

# shellcheck disable=SC2329
from_clone() { # version, folder, what: the same packages as in the image
  clone=$(cd "$(dirname "$0")/.." && pwd)
  command -v uv > /dev/null || [ -x "$FOLDER/uv/bin/uv" ] \
    || { python3 -m venv "$FOLDER/uv" && "$FOLDER/uv/bin/pip" install --quiet "uv>=0.8"; } || return
  source=$3
  if [ -z "$source" ]; then
    git -C "$clone" archive --output "$2/source.tar" "$1^{commit}" || return
    mkdir "$2/source" && tar -xf "$2/source.tar" -C "$2/source" || return
    source=$2/source
    [ ! -e "$source/requirements.lock" ] || export UV_CONSTRAINT="$source/requirements.lock"
  fi
  # of this release alone, and ready to be run by who may not write there
  python3 -m venv --without-pip "$2" || return
  PATH=$PATH:$FOLDER/uv/bin uv pip install --quiet --python "$2/bin/python" \
    --compile-bytecode --link-mode copy "$source" || return
  rm -rf "$2/source" "$2/source.tar" "$2/.lock" # the lock is of uv, and open to all
}

# shellcheck disable=SC2329
by_unit() {
  systemctl restart backstay-migrate || { $LOG backstay-migrate >&2; return 1; }
}

# shellcheck disable=SC2329
by_copy() { # words: in a copy of the unit that migrates, so with its user, settings and secrets
  words=
  for each in "$@"; do
    case $each in *[\"\\$%]*) fail "a word may have none of \" \\ \$ %: $each" ;; esac
    words="$words \"$each\""
  done
  unit=backstay-run-$$
  told=$UNITS/$unit.out
  trap 'exit 130' INT TERM HUP
  trap 'systemctl stop "$unit" 2> /dev/null || :; rm -f "$UNITS/$unit".*; systemctl daemon-reload; systemctl reset-failed "$unit" 2> /dev/null || :' EXIT
  mkdir -p "$UNITS"
  (umask 077 && : > "$told")
  {
    systemctl cat backstay-migrate | sed '/^ExecStart=/d'
    printf '%s\n' "[Service]" "ExecStart=$FOLDER/instances/migrate/bin/backstay$words" RemainAfterExit=no \
      "Environment=SUDO_USER=${SUDO_USER:-$(id -un)}" "StandardOutput=truncate:$told" StandardError=inherit
  } > "$UNITS/$unit.service"
  systemctl daemon-reload
  code=0
  if ! systemctl start "$unit" 2> /dev/null; then
    code=$(systemctl show --property ExecMainStatus --value "$unit")
    [ "${code:-0}" != 0 ] || code=1
    [ -s "$told" ] || $LOG "$unit" >&2
  fi
  cat "$told"
  exit "$code"
}

run() { # words
  [ -n "$(of_link instances/migrate)" ] || fail "nothing has been deployed yet"
  $RUN "$@"
}

install_release() { # version, what
  folder=$FOLDER/releases/$1
  if is_whole "$1"; then
    say "$1 is installed already: taken as it is"
    return
  fi
  rm -rf "$folder" && mkdir -p "$folder"
  say "Installing $1 into $folder"
  $INSTALL "$1" "$folder" "$2" || fail "$1 cannot be installed, for the reason above"
  # with this file a release is whole; units read it, so that /health tells the version
  say "APP_VERSION=$1" > "$folder/release.env"
}

migrate() { # release
  before=$(of_link instances/migrate)
  lead instances/migrate "$1"
  say "Migrating with $1"
  if ! $MIGRATE; then
    if [ -n "$before" ]; then lead instances/migrate "$before"; fi
    fail "$1 cannot migrate the database: no server was touched"
  fi
}

known() { # the releases until the current one, oldest first
  [ ! -e "$FOLDER/history" ] || awk -v now="$(of_link current)" '
    { line[NR] = $0 } $0 == now { end = NR } END { for (i = 1; i <= end; i++) print line[i] }
  ' "$FOLDER/history"
}

remember() { # release
  { known | tail -n $((KEEP - 1)); say "$1"; } > "$FOLDER/history.new"
  mv -f "$FOLDER/history.new" "$FOLDER/history"
  lead current "$1"
}

prune() { # what neither a process nor a rollback needs
  for each in "$FOLDER"/releases/*; do
    one=$(basename "$each")
    ! grep -qxF "$one" "$FOLDER/history" || continue
    for link in "$FOLDER"/instances/*; do
      [ "$(of_link "instances/$(basename "$link")")" != "$one" ] || continue 2
    done
    rm -rf "$each" && say "Removed $one"
  done
}

deploy() { # version, what
  case $1 in
    "" | -* | .* | *[!A-Za-z0-9._+-]*) fail "'$1' is no name of a release: letters, digits, . _ + -" ;;
  esac
  install_release "$1" "$2"
  migrate "$1"
  roll "$1"
  [ "$(of_link current)" = "$1" ] || remember "$1"
  prune
  say "$1 is deployed"
}

rollback() {
  now=$(of_link current)
  [ -n "$now" ] || fail "nothing has been deployed yet"
  goal=$now # of a deployment that has not come to its end, or this is the rest of a rollback
  if ! is_mixed "$now"; then
    goal=$(known | tail -n 2 | head -n 1)
    [ "$goal" != "$now" ] || fail "no release before $now is known"
    is_whole "$goal" || fail "$goal, the release before $now, is no longer in $FOLDER/releases"
    lead current "$goal"
  fi
  roll "$goal"
  say "$goal is back. The schema has stayed as it is"
}

is_mixed() { # whether a process runs another release
  for each in $SERVERS $WORKERS; do
    other=$(of_link "instances/$each")
    [ "${other:-$1}" = "$1" ] || return 0
  done
  return 1
}

status() {
  for each in $SERVERS $WORKERS; do
    release=$(of_link "instances/$each")
    if [ -z "$release" ]; then release=- state="never deployed"
    elif answers "$each" "$release"; then state=ready
    else state="NOT READY"; fi
    printf '%-6s %-24s %s\n' "$each" "$release" "$state"
  done
  say "Deployed, the latest last: $(known | tr '\n' ' ')"
}

alone() {
  mkdir -p "$FOLDER/releases" "$FOLDER/instances" || fail "run it as root"
  exec 9> "$FOLDER/lock" || fail "run it as root"
  flock -n 9 || fail "another one is at work on this machine"
  trap 'printf "\n%s\n" "Interrupted: the same command continues; rollback goes back." >&2; exit 130' INT TERM HUP
}

main() {
  for needed in curl flock; do
    command -v "$needed" > /dev/null || fail "$needed is missing: install it"
  done
  case "${1:-} $#" in
    "deploy 2" | "deploy 3") alone && deploy "$2" "${3:-}" ;;
    "rollback 1") alone && rollback ;;
    "status 1") status ;;
    "run "[2-9]* | "run 1"[0-9]*) shift && run "$@" ;;
    *)
      sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
      exit 2
      ;;
  esac
}

# the last line, so that a change of this file does not change a run of it
main "$@"; exit
