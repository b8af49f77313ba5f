#!/usr/bin/env bash
# Builds both images into target/images, or pushes them to $IMAGE_REGISTRY. No base image and no container engine is needed:
# cargo builds static binaries on this machine and buildah puts them into empty images.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

images=target/images
declare -A most_bytes=([operator]=8000000 [echo-server]=1000000)

# Runs buildah with a storage for the image at hand alone, so that it can be emptied: buildah keeps the parts of old builds.
buildah() {
  command buildah --root "$PWD/$images/storage/$name" --runroot "$PWD/$images/run/$name" --storage-driver vfs "$@"
}

# Builds both programs without shared libraries. A named target keeps the flags away from procedural macros.
build_binaries() {
  local target
  target=$(rustc -vV | sed -n 's/^host: //p')
  export RUSTFLAGS="-C target-feature=+crt-static"
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
  buildah push --quiet "$reference" "oci-archive:$images/$name.tar:$reference"
  echo "$contents" > "$images/$name.contents"
}

# Prints how large an image is, compressed as a registry holds it, and fails if that is too much.
check_size() {
  local name=$1 bytes
  bytes=$(tar --create --directory "$images/bin/$name" . | gzip -9 | wc -c)
  printf '%s/%s:%s  %d.%02d MB compressed\n' "$IMAGE_REGISTRY" "$name" "$version" $((bytes / 1000000)) $((bytes % 1000000 / 10000))
  [ "$bytes" -le "${most_bytes[$name]}" ] || fail "$name has $bytes bytes, which is more than ${most_bytes[$name]}"
}

case ${1:-} in
  build)
    command -v buildah > /dev/null || fail "buildah is missing: make setup installs it"
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
      buildah push "$IMAGE_REGISTRY/$name:$version" ||
        fail "failed to push; build it by make images IMAGE_REGISTRY=$IMAGE_REGISTRY, and log in by buildah login"
    done
    ;;
  *) fail "say build, pulled or push" ;;
esac
