#!/usr/bin/env bash
# Installs the Debian packages that are missing. Rust (by rustup) and Go are the two things that it expects to be there.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

command -v cargo > /dev/null || fail "Rust is missing: install it by rustup and put its bin folder on PATH"
command -v go > /dev/null || fail "Go is missing: install Go 1.26 or newer and put its bin folder on PATH"

packages=()
command -v gcc > /dev/null || packages+=(gcc libc6-dev) # links Rust programs
command -v buildah > /dev/null || packages+=(buildah) # makes images
[ "$(id -u)" = 0 ] || command -v newuidmap > /dev/null || packages+=(uidmap) # lets buildah work without root
command -v zstd > /dev/null || packages+=(zstd) # compresses them
command -v shellcheck > /dev/null || packages+=(shellcheck)
command -v valgrind > /dev/null || packages+=(valgrind) # counts instructions in make bench-echo

if [ ${#packages[@]} -gt 0 ]; then install_packages "${packages[@]}"; fi

hack/cluster/cluster setup
