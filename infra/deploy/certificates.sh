#!/usr/bin/env bash
# certificates.sh FOLDER NAME...: certificates for TLS between the nodes of a Ray cluster, and for the proxy in front of
# Prefect. FOLDER gets ca.crt and ca.key (made once, kept), node.crt and node.key (made anew), for the NAMEs: host names,
# addresses, or A.B.C.0/24 for each address of such a network.
#
#   infra/deploy/certificates.sh /etc/nightreel/tls head.lan gpu1.lan 192.0.2.10 192.0.2.11
#
# Each node needs ca.crt, node.crt and node.key; ca.key stays where it was made. One certificate for all nodes: whoever has
# one node has them all, as with Ray's token. Needs openssl.
set -euo pipefail
umask 077

die() { echo "certificates.sh: $*" >&2; exit 2; }
[ $# -ge 2 ] || die "say the folder and at least one host name or address"
command -v openssl >/dev/null || die "needs openssl"
folder=$1
shift
mkdir -p "$folder"

names=()
for name in "$@" localhost 127.0.0.1; do
    case $name in
    */24)
        network=${name%.*}
        for ((host = 1; host < 255; host++)); do names+=("IP:$network.$host"); done
        ;;
    */*) die "'$name': of networks only A.B.C.0/24 is taken" ;;
    *[!0-9.]*) names+=("DNS:$name") ;;
    *) names+=("IP:$name") ;;
    esac
done

if [ ! -s "$folder/ca.key" ]; then
    openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 3650 -subj "/CN=nightreel $(hostname)" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout "$folder/ca.key" -out "$folder/ca.crt" 2>/dev/null
fi
request=$(mktemp "$folder/request.XXXXXX")
extensions=$(mktemp "$folder/extensions.XXXXXX")
trap 'rm -f "$request" "$extensions"' EXIT
{
    echo "basicConstraints=critical,CA:FALSE"
    echo "keyUsage=critical,digitalSignature,keyEncipherment"
    echo "extendedKeyUsage=serverAuth,clientAuth"
    (IFS=,; echo "subjectAltName=${names[*]}")
} >"$extensions"
openssl req -newkey rsa:3072 -nodes -sha256 -subj "/CN=nightreel node" -keyout "$folder/node.key.new" -out "$request" 2>/dev/null
openssl x509 -req -sha256 -days 825 -in "$request" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial \
    -CAserial "$folder/ca.srl" -extfile "$extensions" -out "$folder/node.crt.new" 2>/dev/null
mv "$folder/node.key.new" "$folder/node.key"
mv "$folder/node.crt.new" "$folder/node.crt"
openssl verify -CAfile "$folder/ca.crt" "$folder/node.crt" >/dev/null || die "the certificate made is no good; remove $folder and try again"
echo "$folder: ca.crt, node.crt (${#names[@]} names), node.key"
