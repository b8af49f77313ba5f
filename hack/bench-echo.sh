#!/usr/bin/env bash
# Compares the echo server with others, on two processors of this machine, and writes docs/performance.md and its picture.
# BENCH_SECONDS is how long each of the seven loads lasts. Figures of less than the default go into target/bench-echo alone.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

BENCH_SECONDS=${BENCH_SECONDS:-40}
command -v gcc > /dev/null || fail "gcc is missing: apt-get install gcc"
command -v zstd > /dev/null || fail "zstd is missing: make setup installs it"
target=$(rustc -vV | sed -n 's/^host: //p')
peers=echo-server/benches/echo/peers
built=$PWD/target/bench-echo
image_parts=$built/image
mkdir -p "$image_parts"

say "Building the echo server as in its image, and the servers to compare it with"
RUSTFLAGS="-C target-feature=+crt-static" \
  cargo build --locked --target "$target" --profile release-echo-server --package echo-server --bin echo-server
cp "target/$target/release-echo-server/echo-server" "$image_parts/"
ln -sfn echo-server "$image_parts/echo-client"
cargo bench --locked --package echo-server --bench echo --no-run
# Static and optimized as the echo server is: what is executed for each line for speed, -Os would make a byte at a time.
loops=$built/loops
mkdir -p "$loops"
for loop in level edge phases; do
  gcc -O2 -static -DLOOP="${loop^^}" -o "$loops/$loop" "$peers/epoll.c"
done
java=
if command -v javac > /dev/null; then
  java=$built/java
  javac -d "$java" "$peers/EchoServer.java"
else
  echo "skipped: the Java stand-in, since there is no JDK (apt-get install openjdk-17-jdk-headless)"
fi

if [ "${1:-}" = instructions ]; then
  say "Counting instructions (about 120 s)"
  cargo bench --locked --quiet --package echo-server --bench echo -- instructions "$image_parts/echo-server" "$loops"
  exit
fi

say "Measuring (about $((BENCH_SECONDS * 7 + 600)) s)"
document=$PWD/docs/performance.md
if [ "$BENCH_SECONDS" -lt 40 ]; then
  cp "$document" "$built/"
  document=$built/performance.md
fi
image_bytes=$(tar --create --directory "$image_parts" . | zstd --quiet -19 | wc -c)
# Ahead of other programs: with real-time priority where that is allowed, which servers and the client inherit.
ahead=(nice -n -10)
if chrt --rr 1 true 2> /dev/null; then
  ahead=(chrt --rr 1)
fi
"${ahead[@]}" cargo bench --locked --quiet --package echo-server --bench echo -- \
  "$image_parts/echo-server" "$loops" "$java" "$document" "$BENCH_SECONDS" "$image_bytes"
echo "The figures are in $document and the picture beside it."
