#!/usr/bin/env bash
# Gives the command its secrets, from files: NAME_FILE=/run/secrets/name becomes NAME, for the names below. Libraries that
# read files themselves (RAY_AUTH_TOKEN_PATH, AWS_SHARED_CREDENTIALS_FILE, RAY_TLS_...) are left to do so.
set -euo pipefail

SECRETS="PREFECT_SERVER_API_AUTH_STRING PREFECT_API_AUTH_STRING PREFECT_SERVER_DATABASE_PASSWORD
         PREFECT_SERVER_DATABASE_CONNECTION_URL PREFECT_SERVER_DOCKET_URL PREFECT_REDIS_MESSAGING_PASSWORD
         NIGHTREEL_NOTIFY_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN"

for name in $SECRETS; do
    from=${name}_FILE
    [ -n "${!from:-}" ] || continue
    if [ ! -r "${!from}" ]; then
        echo "entrypoint: $from=${!from} can't be read as user $(id -u): is the secret there, and readable for that user?" >&2
        exit 3
    fi
    value=$(<"${!from}")
    export "$name=$value"
    unset "$from"
done

exec "$@"
