#!/usr/bin/env bash
# Installs what the tests in a browser need from Debian, where it is missing and may be installed.
# Elsewhere it says so and ends well: the tests then skip, or fail with REFUNDRY_BROWSER=required.
set -euo pipefail

packages=()
if [ -z "${CHROMIUM:-}" ] && ! command -v chromium chromium-browser google-chrome >/dev/null; then
  packages+=(chromium)
fi
# Without a font there is no text to see, and without one for Japanese there are boxes.
fonts() { command -v fc-list >/dev/null && fc-list ":lang=$1" | grep -q .; }
fonts en || packages+=(fontconfig fonts-dejavu-core)
fonts ja || packages+=(fontconfig fonts-noto-cjk)

if [ ${#packages[@]} = 0 ]; then
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "missing for the tests in a browser, and only root may install it with apt-get: ${packages[*]}" >&2
  exit 0
fi
echo "installing ${packages[*]} ..."
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --yes --no-install-recommends "${packages[@]}" >/dev/null
