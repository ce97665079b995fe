#!/bin/sh
# Brings a version of Backstay in containers of compose.yaml while it serves, behind nginx.
#   rollout.sh deploy TAG  builds the image unless there is one of that tag, migrates, replaces
#   rollout.sh rollback    goes back to the tag before; the schema stays as it is
# A new server is ready before an old one is told to stop. If the first is not, it is removed, and nothing
# else is touched. Which tag runs is in .env.
set -eu
cd "$(dirname "$0")"

fail() {
  printf 'rollout.sh: %s\n' "$*" >&2
  exit 1
}

tag() { sed -n "s/^$1=//p" .env | tail -n 1; } # TAG or TAG_BEFORE

keep() { # name, value: in .env
  { grep -v "^$1=" .env || :; printf '%s=%s\n' "$1" "$2"; } > .env.new
  chmod 600 .env.new
  mv -f .env.new .env
}

add() { # how many servers: ready, or 1
  docker compose up --detach --no-deps --no-recreate --no-build --scale api="$1" \
    --wait --wait-timeout 120 api
}

stop() { # containers: each drains, and finishes its requests
  for container; do
    docker stop --time 40 "$container" > /dev/null
    docker rm --force "$container" > /dev/null
  done
}

new() { # the servers that are none of these
  for container in $(docker compose ps --all --quiet api); do
    case " $* " in *" $container "*) ;; *) printf '%s ' "$container" ;; esac
  done
}

replace() {
  old=$(docker compose ps --all --quiet api | tr '\n' ' ')
  # shellcheck disable=SC2086
  set -- $old
  number=$#
  [ "$number" -gt 0 ] || fail "nothing serves yet: docker compose up --detach"
  if ! add $((number + 1)); then
    # shellcheck disable=SC2046
    docker logs --tail 20 $(new "$@") >&2 || :
    # shellcheck disable=SC2046
    stop $(new "$@")
    fail "$TAG is not ready: it is removed, and the servers are as they were"
  fi
  # one in, one out: memory and connections are needed for one more
  while :; do
    sleep 3 # nginx asks for the addresses every 2 s
    stop "$1"
    shift
    [ $# -gt 0 ] || break
    add $((number + 1)) || fail "$TAG is not on all servers: deploy again, or roll back"
  done
  docker compose up --detach --no-deps --no-build worker
}

# TAG in the environment would be that of compose, too: it is set here alone
main() {
  [ -e .env ] || fail "there is no .env: sh prepare.sh makes it"
  case "${1:-} $#" in
    "deploy 2") export TAG="$2" ;;
    "rollback 1")
      TAG=$(tag TAG_BEFORE)
      [ -n "$TAG" ] || fail "no tag before this one is known"
      export TAG
      ;;
    *)
      sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
      exit 2
      ;;
  esac
  exec 9> .env.lock
  flock -n 9 || fail "another one is at work on this machine"
  if docker compose config api | grep -q published; then
    fail "a port of this machine leads to api, which only one container can have: backstay deploy init --servers 2"
  fi
  if [ "$1" = deploy ]; then
    docker image inspect "backstay:$TAG" > /dev/null 2>&1 || docker compose build api
    docker compose run --rm --no-deps migrate || fail "$TAG cannot migrate the database: no server was touched"
  fi
  replace
  now=$(tag TAG)
  [ "$now" = "$TAG" ] || keep TAG_BEFORE "${now:-latest}"
  keep TAG "$TAG"
  echo "$TAG serves"
}

main "$@"; exit
