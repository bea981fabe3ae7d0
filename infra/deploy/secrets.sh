#!/usr/bin/env bash
# secrets.sh FOLDER: makes the secrets that a cluster of nightreel needs, at random, one a file. What is there stays, so that
# it can be run again after an upgrade that needs one more. No file of the repository holds any of them.
#
#   infra/deploy/secrets.sh infra/deploy/compose/secrets        for Compose
#   infra/deploy/secrets.sh /tmp/secrets                        for kubectl create secret (infra/docs/cluster.md)
#
# Only the folder's owner may enter it. Its files can be read by everybody, since containers run as other users than
# the one who starts them, and are given single files, past the folder.
set -euo pipefail
umask 077

folder=${1:?say the folder}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
chmod 700 "$folder"

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
put() { # NAME VALUE: unless it is there
    [ -s "$folder/$1" ] && return
    printf '%s' "$2" >"$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
    echo "$folder/$1"
}
held() { cat "$folder/$1"; }

put ray_token "$(random)"
put prefect_password "$(random)"
put postgres_password "$(random)"
put redis_password "$(random)"
put grafana_password "$(random)"
put s3_key "nightreel"
put s3_secret "$(random)"

# In the forms in which programs read them.
put prefect_auth "nightreel:$(held prefect_password)"
put docket_url "redis://:$(held redis_password)@redis:6379/1"
put redis.conf "requirepass $(held redis_password)
appendonly yes
maxmemory-policy noeviction
"
put aws_credentials "[default]
aws_access_key_id = $(held s3_key)
aws_secret_access_key = $(held s3_secret)
"
put s3.json "{\"identities\": [{\"name\": \"nightreel\", \"credentials\": [{\"accessKey\": \"$(held s3_key)\", \"secretKey\": \"$(held s3_secret)\"}], \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\", \"Tagging\"]}]}"

# For the network and the names of compose.yaml; elsewhere certificates.sh is run with the nodes' own.
if [ ! -s "$folder/tls/node.crt" ]; then
    "$here/certificates.sh" "$folder/tls" 172.30.77.0/24 ray-head proxy s3 "$(hostname)"
fi
chmod 444 "$folder"/[a-z]* 2>/dev/null || true
chmod 700 "$folder/tls"
chmod 444 "$folder"/tls/*.crt "$folder/tls/node.key"
