#!/bin/sh
# Makes what is not there yet: secrets, .env, and a certificate that clients do not trust, until one
# of an authority replaces it. A value in the environment is taken: ADMIN_PASSWORD=… sh prepare.sh
# With a folder (prepare.sh FOLDER) the secrets are made there, for the one user who calls it.
set -eu
mode=444
[ $# = 0 ] || mode=400
[ $# = 0 ] || [ -d "$1" ] || { echo "there is no folder $1" >&2; exit 2; }
cd "${1:-$(dirname "$0")}"
umask 077
command -v openssl > /dev/null || { echo "openssl is missing: install it" >&2; exit 1; }
mkdir -p secrets/tls
if [ $# = 0 ]; then
  mkdir -p acme wheels
  chmod 755 secrets/tls acme wheels
fi

# The folder keeps other users of this machine out. The files can be read by any user, since a
# container sees them as they are, and runs as another one; without containers, by their owner.
keep() { # name, value
  if [ ! -s "secrets/$1" ]; then
    printf %s "$2" > "secrets/$1"
    echo "made secrets/$1"
  fi
  chmod $mode "secrets/$1"
}

random() { # of 256 bits, in letters and digits
  head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'
}

keep secret_key "${SECURITY_SECRET_KEY:-$(random)}"
keep refresh_token_secret "${SECURITY_REFRESH_TOKEN_SECRET:-$(random)}"
keep admin_password "${ADMIN_PASSWORD:-$(random)}"
keep metrics_token "${APP_METRICS_TOKEN:-$(random)}"
keep db_password "${DB_PASSWORD:-$(random)}"
keep postgres_password "${POSTGRES_PASSWORD:-$(random)}"
keep replication_password "$(random)"
keep redis_password "${REDIS_PASSWORD:-$(random)}"
keep rabbitmq_password "$(random)"
keep rabbitmq_url "amqp://backstay:$(cat secrets/rabbitmq_password)@rabbitmq:5672/"
keep nats_password "$(random)"
keep nats_url "nats://backstay:$(cat secrets/nats_password)@nats:4222"
keep alert_mail_password "${ALERT_MAIL_PASSWORD:-$(random)}"
keep grafana_password "${GRAFANA_PASSWORD:-$(random)}"
keep pgadmin_password "${PGADMIN_DEFAULT_PASSWORD:-$(random)}"

[ $# = 1 ] || [ -e .env ] || cp .env.example .env

if [ ! -e secrets/tls/fullchain.pem ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 \
    -subj "/CN=api.example.com" -addext "subjectAltName=DNS:api.example.com" \
    -keyout secrets/tls/privkey.pem -out secrets/tls/fullchain.pem 2> /dev/null
  chmod $mode secrets/tls/fullchain.pem secrets/tls/privkey.pem
  echo "made secrets/tls/fullchain.pem, which no client trusts; README.md says how to get another"
fi
[ $# = 1 ] || echo "Next: docker compose up --build --detach"
