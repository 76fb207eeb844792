#!/usr/bin/env bash
# Installs the Debian packages of tools/packages.txt that are missing. Quiet when there is nothing to do.
set -euo pipefail
list="$(dirname "$0")/packages.txt"
mapfile -t wanted < <(grep -v '^#' "$list")
if ! command -v dpkg-query >/dev/null; then
  echo "This is not a Debian or Ubuntu. Install what these packages hold, then run again:" >&2
  printf '  %s\n' "${wanted[@]}" >&2
  for tool in cmake ninja g++ python3 zstd; do
    command -v "$tool" >/dev/null || { echo "missing: $tool" >&2; exit 1; }
  done
  exit 0
fi
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null; then
    as_root=(sudo)
  else
    echo "These packages are missing and this user may not install them. As root run:" >&2
    echo "  apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
fi
echo "Installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
if ! { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }; then
  echo "Could not install all packages. By hand:" >&2
  echo "  apt-get update && apt-get install -y ${missing[*]}" >&2
  exit 1
fi
