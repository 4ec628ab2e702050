# syntax=docker/dockerfile:1
# Two stages: the first compiles (librdkafka and OpenSSL from source: C compiler, make and perl are in the image),
# the second holds the binary, glibc and CA certificates: no shell, no package manager, not root.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches are of the builder, not of the image: hence the copy out of target/.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin ripen \
    && cp target/release/ripen /ripen

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /ripen /usr/local/bin/ripen
COPY LICENSE /usr/share/doc/ripen/LICENSE
# Leads in large pages where the kernel gives them on request: shorter pauses while memory grows, no other cost.
ENV GLIBC_TUNABLES=glibc.malloc.hugetlb=1
USER nonroot
EXPOSE 9464
ENTRYPOINT ["/usr/local/bin/ripen"]
CMD ["--help"]
