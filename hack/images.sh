#!/usr/bin/env bash
# Builds both images into target/images, or pushes them to $IMAGE_REGISTRY. No base image and no container engine is needed:
# cargo builds static binaries on this machine and buildah puts them into empty images.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

images=target/images
declare -A most_bytes=([operator]=8000000 [echo-server]=1100000)

# Runs buildah with a storage for the image at hand alone, so that it can be emptied: buildah keeps the parts of old builds.
buildah() {
  command buildah --root "$PWD/$images/storage/$name" --runroot "$PWD/$images/run/$name" --storage-driver vfs "$@"
}

# Builds both programs without shared libraries. A named target keeps the flags away from procedural macros.
build_binaries() {
  local target
  target=$(rustc -vV | sed -n 's/^host: //p')
  export RUSTFLAGS="-C target-feature=+crt-static"
  # arm64 kernels have pages of up to 64 KiB, which the operator's allocator has to expect.
  case $target in aarch64*) export JEMALLOC_SYS_WITH_LG_PAGE=16 ;; esac
  say "Building static binaries (up to 10 minutes the first time)"
  cargo build --locked --target "$target" --release --package operator
  cargo build --locked --target "$target" --profile release-echo-server --package echo-server --bin echo-server
  mkdir -p "$images/bin/operator" "$images/bin/echo-server"
  cp "target/$target/release/operator" "$images/bin/operator/"
  cp "target/$target/release-echo-server/echo-server" "$images/bin/echo-server/"
  ln -sfn echo-server "$images/bin/echo-server/echo-client"
}

# Builds one image, unless that of the same contents is there already.
build_image() {
  local name=$1 reference=$IMAGE_REGISTRY/$1:$version revision contents
  revision=$(git rev-parse HEAD 2> /dev/null) || revision=unknown
  contents=$(echo "$reference $revision" | cat - Dockerfile "$images/bin/$name/$name" | sha256sum)
  [ -f "$images/$name.tar" ] && [ "$contents" = "$(cat "$images/$name.contents" 2> /dev/null)" ] && return
  say "Building $reference"
  rm -rf "$images/$name.tar" "$images/storage/$name" "$images/run/$name"
  buildah bud --quiet --isolation chroot --timestamp 0 --target "$name" --tag "$reference" \
    --build-arg BINARIES=host --build-arg VERSION="$version" --build-arg REVISION="$revision" . > /dev/null
  buildah push --quiet "$reference" "oci:$images/$name.layout:$reference"
  compress_layer "$images/$name.layout"
  tar --create --file "$images/$name.tar" --directory "$images/$name.layout" oci-layout index.json blobs
  rm -rf "$images/$name.layout"
  echo "$contents" > "$images/$name.contents"
}

# Compresses the one layer of an image's layout by zstd at its best, a tenth better than buildah does it. Whatever runs
# Kubernetes 1.33 and Docker since 23 read that (OCI image specification 1.1).
compress_layer() {
  local blobs=$1/blobs/sha256 manifest layer new
  manifest=$(sed 's/.*"digest":"sha256:\([0-9a-f]*\)".*/\1/' "$1/index.json")
  layer=$(sed 's/.*"layers":\[{[^]]*"digest":"sha256:\([0-9a-f]*\)".*/\1/' "$blobs/$manifest")
  gzip --decompress --stdout "$blobs/$layer" | zstd --quiet -19 -o "$blobs/new"
  new=$(digest "$blobs/new")
  replace "$blobs/$manifest" "tar+gzip" "tar+zstd"
  replace "$blobs/$manifest" "$layer\",\"size\":[0-9]*" "$new\",\"size\":$(stat --format %s "$blobs/new")"
  mv "$blobs/new" "$blobs/$new"
  rm "$blobs/$layer"
  new=$(digest "$blobs/$manifest")
  replace "$1/index.json" "$manifest\",\"size\":[0-9]*" "$new\",\"size\":$(stat --format %s "$blobs/$manifest")"
  mv "$blobs/$manifest" "$blobs/$new"
}

# Prints a file's digest.
digest() { sha256sum "$1" | cut --delimiter ' ' --fields 1; }

# Replaces a pattern in a file that must hold it.
replace() {
  grep --quiet "$2" "$1" || fail "$1 is not as buildah used to write it: there is no $2"
  sed --in-place "s/$2/$3/" "$1"
}

# Prints how large an image is, compressed as in the archive, and fails if that is too much.
check_size() {
  local name=$1 bytes
  bytes=$(tar --list --verbose --file "$images/$name.tar" | awk '/blobs.sha256.[0-9a-f]/ {bytes += $3} END {print bytes}')
  printf '%s/%s:%s  %d.%02d MB compressed\n' "$IMAGE_REGISTRY" "$name" "$version" $((bytes / 1000000)) $((bytes % 1000000 / 10000))
  [ "$bytes" -le "${most_bytes[$name]}" ] || fail "$name has $bytes bytes, which is more than ${most_bytes[$name]}"
}

case ${1:-} in
  build)
    command -v buildah > /dev/null || fail "buildah is missing: make setup installs it"
    command -v zstd > /dev/null || fail "zstd is missing: make setup installs it"
    build_binaries
    for name in operator echo-server; do
      build_image "$name"
      check_size "$name"
    done
    ;;
  pulled)
    # The echo server once more, as an image that no node has: it differs by a label.
    name=echo-server
    rm -f "$images/echo-server-pulled.tar"
    container=$(buildah from "oci-archive:$images/echo-server.tar")
    buildah config --label pulled=yes "$container"
    buildah commit --quiet "$container" "oci-archive:$images/echo-server-pulled.tar" > /dev/null
    buildah rm "$container" > /dev/null
    ;;
  push)
    [ "$IMAGE_REGISTRY" != echo-operator.dev ] || fail "choose a registry of yours: make images push IMAGE_REGISTRY=registry.example.com/me"
    for name in operator echo-server; do
      say "Pushing $IMAGE_REGISTRY/$name:$version"
      buildah push --compression-format zstd --compression-level 20 "$IMAGE_REGISTRY/$name:$version" ||
        fail "failed to push; build it by make images IMAGE_REGISTRY=$IMAGE_REGISTRY, and log in by buildah login"
    done
    ;;
  *) fail "say build, pulled or push" ;;
esac
