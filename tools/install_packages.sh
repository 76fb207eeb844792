#!/usr/bin/env bash
# Installs the Debian packages of tools/packages.txt that are missing, and those named as arguments. Quiet when there is
# nothing to do. Exits 1 when a package cannot be had: says which, and the command to do it by hand.
set -euo pipefail
list="$(dirname "$0")/packages.txt"
mapfile -t wanted < <(grep -v '^#' "$list"; printf '%s\n' "$@" | grep . || true)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  [ -z "${DREY_PACKAGES_ARE_THERE:-}" ] || exit 0
  echo "This is neither Debian nor Ubuntu: install by hand what these Debian packages hold, in their versions of Debian 12 or newer:" >&2
  printf '  %s\n' "${wanted[@]}" >&2
  echo "Then run again with DREY_PACKAGES_ARE_THERE=1." >&2
  exit 1
fi

# Not through `grep -q`: it may close the pipe before the writer is done, which pipefail takes for a failure.
is_installed() { [[ "$(dpkg-query -W -f='${Status}' "$1" 2>/dev/null)" == *"install ok installed"* ]]; }
has_candidate() { [[ "$(apt-cache policy "$1" 2>/dev/null)" =~ Candidate:\ [^\(] ]]; }

# Lines of which no alternative is installed.
missing=()
for line in "${wanted[@]}"; do
  IFS='|' read -ra names <<<"${line// /}"
  found=0
  for name in "${names[@]}"; do is_installed "$name" && found=1 && break; done
  [ "$found" -eq 1 ] || missing+=("${line// /}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null; then
    as_root=(sudo)
  else
    echo "These packages are missing, and this user may not install them (no sudo). As root run:" >&2
    echo "  apt-get update && apt-get install -y ${missing[*]//|*/}" >&2
    exit 1
  fi
fi
echo "Installing: ${missing[*]//|*/}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"${as_root[@]}" apt-get update -qq >"$log" 2>&1 || { cat "$log" >&2; echo "The lists of packages cannot be read; trying with those that are there." >&2; }

chosen=()
unknown=()
for line in "${missing[@]}"; do
  pick=""
  for name in ${line//|/ }; do has_candidate "$name" && pick=$name && break; done
  if [ -n "$pick" ]; then chosen+=("$pick"); else unknown+=("${line%%|*}"); fi
done
if [ ${#unknown[@]} -gt 0 ]; then
  echo "This distribution has no package of these names: ${unknown[*]}" >&2
  echo "Drey is built on Debian 12 and Ubuntu 24.04. By hand, once they can be had:" >&2
  echo "  apt-get update && apt-get install -y ${missing[*]//|*/}" >&2
  exit 1
fi
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${chosen[@]}" >"$log" 2>&1; then
  grep '^E:' "$log" >&2 || tail -5 "$log" >&2
  failed=()
  for name in "${chosen[@]}"; do is_installed "$name" || failed+=("$name"); done
  echo "Could not install: ${failed[*]}. By hand:" >&2
  echo "  apt-get update && apt-get install -y ${failed[*]}" >&2
  exit 1
fi
