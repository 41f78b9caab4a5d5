#!/usr/bin/env bash
# Installs the test servers that `make setup` cannot bring. Safe to run again: what is there already stays.
# moto, the Cloud Storage emulator and drongo are development dependencies of ours; the others are here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

debian_packages() {
  local missing=()
  for package in "$@"; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'install ok' || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  as_root apt-get update --quiet=2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}"
}

environment() { # needed by the others: it holds uv
  make --quiet setup
}

pubsub() { # Google's pstest, built from Debian's Go packages
  debian_packages golang-go golang-google-cloud-dev
  .venv/bin/python -m platform_assets_tests.servers.pubsub
}

bigquery() { # local-bigquery, in a Python 3.13 environment of its own
  .venv/bin/python -m platform_assets_tests.servers.bigquery install
}

for server in environment pubsub bigquery; do
  echo "-- $server"
  "$server"
done
