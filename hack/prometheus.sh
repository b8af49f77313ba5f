#!/usr/bin/env bash
# Puts Debian's prometheus and promtool into target/prometheus, for tests, unless both are on the PATH. The package is extracted and not
# installed: it would start a daemon.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

if command -v prometheus > /dev/null && command -v promtool > /dev/null; then exit; fi
folder=$PWD/target/prometheus
[ ! -x "$folder/usr/bin/promtool" ] || exit 0
command -v apt-get > /dev/null ||
  { echo "skipped: tests with Prometheus, for there is no apt-get (put prometheus and promtool on the PATH)" && exit; }

say "Extracting Debian's package prometheus"
packages=$(mktemp --directory)
trap 'rm -rf "$packages" "$folder.new"' EXIT
cd "$packages"
apt-get download prometheus || { as_root apt-get update && apt-get download prometheus; }
rm -rf "$folder.new"
mkdir -p "$folder.new"
dpkg-deb --extract prometheus_*.deb "$folder.new"
rm -rf "$folder"
mv "$folder.new" "$folder"
"$folder/usr/bin/promtool" --version
