# The images of the two programs. Each holds static binaries and nothing else, and runs as an unprivileged user.
#
#   docker build --target operator --tag echo-operator.dev/operator:0.1.0 .
#
# BINARIES=host takes binaries that were built outside, from target/images/bin (`make images`): no base image is needed then.
ARG BINARIES=builder
ARG RUST_VERSION=1.95.0

FROM docker.io/library/rust:${RUST_VERSION}-bookworm AS builder
ARG RUST_VERSION
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION} RUSTFLAGS="-C target-feature=+crt-static"
WORKDIR /source
COPY . .
# A named target keeps the flags away from procedural macros, which cannot be static.
# arm64 kernels have pages of up to 64 KiB, which the operator's allocator has to expect.
RUN target=$(rustc -vV | sed -n 's/^host: //p') \
 && case $target in aarch64*) export JEMALLOC_SYS_WITH_LG_PAGE=16 ;; esac \
 && cargo build --locked --target "$target" --release --package operator \
 && cargo build --locked --target "$target" --profile release-echo-server --package echo-server --bin echo-server \
 && mkdir -p /bin/images/operator /bin/images/echo-server \
 && cp "target/$target/release/operator" /bin/images/operator/ \
 && cp "target/$target/release-echo-server/echo-server" /bin/images/echo-server/ \
 && ln -s echo-server /bin/images/echo-server/echo-client

FROM scratch AS host
COPY target/images/bin /bin/images

FROM ${BINARIES} AS binaries

FROM scratch AS operator
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="EchoCluster operator" \
      org.opencontainers.image.description="Runs fleets of TCP echo servers on Kubernetes, as EchoClusters declare them" \
      org.opencontainers.image.source="https://github.com/echo-operator/echo-operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=binaries /bin/images/operator /
USER 65532:65532
ENTRYPOINT ["/operator"]
CMD ["run"]

# echo-client is a link to echo-server: one executable, which is the program under whose name it is started.
FROM scratch AS echo-server
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Echo server" \
      org.opencontainers.image.description="A threaded TCP echo server, and a client for it" \
      org.opencontainers.image.source="https://github.com/echo-operator/echo-operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=binaries /bin/images/echo-server /
USER 65532:65532
EXPOSE 12345 9090
ENTRYPOINT ["/echo-server"]
