#!/usr/bin/env bash
# Checks the echo server's WebSocket by that of a browser: Debian's Chromium opens hack/browser.html, without a display.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

command -v chromium > /dev/null || install_packages chromium
cargo build --locked --package echo-server --bin echo-server

folder=$(mktemp --directory)
trap 'kill -KILL "${server:-}" 2> /dev/null; rm -rf "$folder"' EXIT
exec {log}< <(exec "${CARGO_TARGET_DIR:-target}/debug/echo-server" --listen=http:127.0.0.1:0 --admin=127.0.0.1:0 2>&1)
server=$!
read -r line <&"$log" || true
[[ $line =~ listeners=\"http:([^\"]*)\" ]] || fail "the echo server does not listen: $line"
address=${BASH_REMATCH[1]}

say "Opening a page that connects to ws://$address"
# No sandbox, which root cannot have and the project's own page does not need.
result=$(timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$folder/profile" \
  --dump-dom "file://$PWD/hack/browser.html#$address" 2> "$folder/chromium" |
  sed -n 's/.*<pre id="result">\(.*\)<\/pre>.*/\1/p') || fail "chromium failed: $(tail -n 5 "$folder/chromium")"
echo "$result"
[ "$result" = "all checks passed" ] || fail "the page has not passed its checks"
