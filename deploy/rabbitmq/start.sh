#!/bin/sh
# Starts RabbitMQ with one user, whose password is a file; it replaces that of everybody, guest.
set -eu
umask 077
mkdir -p /tmp/conf.d
printf '%s\n' \
  "default_user = ${APP_NAME:?}" \
  "default_pass = $(cat "${SECRETS:-/run/secrets}/rabbitmq_password")" \
  'loopback_users.guest = true' \
  'log.console = true' \
  'vm_memory_high_watermark.absolute = 300MB' \
  > /tmp/conf.d/user.conf
export RABBITMQ_CONFIG_FILES=/tmp/conf.d
exec rabbitmq-server
