#!/usr/bin/env bash
# A self-signed certificate for trying TLS: certificate.sh FOLDER NAME-OR-ADDRESS...
# FOLDER/server.pem (certificate and key) is for TLS_CERTIFICATE, FOLDER/server.crt is what clients must trust.
# DAYS (default 30) is how long it is valid.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: ${0##*/} FOLDER NAME-OR-ADDRESS..." >&2
  exit 2
fi
folder=$1
shift
names=
for name in "$@"; do
  # Addresses are digits and dots, or hold a colon.
  if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then kind=IP; else kind=DNS; fi
  names+=${names:+,}$kind:$name
done
umask 077
mkdir -p "$folder"
new=$(mktemp -d "$folder/.new-XXXXXX")
trap 'rm -rf "$new"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "${DAYS:-30}" \
  -subj "/CN=$1" -addext "subjectAltName=$names" -addext basicConstraints=critical,CA:FALSE \
  -keyout "$new/server.key" -out "$new/server.crt" 2>"$new/said" || { cat "$new/said" >&2; exit 1; }
cat "$new/server.crt" "$new/server.key" >"$new/server.pem"
chmod 644 "$new/server.crt"
mv "$new/server.crt" "$new/server.pem" "$folder"
