# `just` lists these; each is also a plain command, so nobody needs just.

# List the recipes.
default:
    @just --list --unsorted

# Score a generated month of a car dealer's site, without Kafka.
demo *args:
    cargo run --release -- demo {{args}}

# Every test, those on real Kafka included; `just test -p ripen-scorer` for one crate.
test *args:
    tests/run {{args}}

# Tests marked as long too, and licences, bans and sources.
test-long:
    tests/run --long

# What must hold before a change lands.
ci:
    .ci/run

# Format the sources.
fmt:
    cargo fmt --all

# Clippy as in CI.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The API documentation as in CI.
doc:
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps

# One benchmark: pipeline, rules, state, growth, kafka, latency, restore or failover.
bench name:
    cargo bench --bench {{name}}

# The instruction count of the hot path against the committed figure.
gate:
    tests/gate

# Compose file, alerts, dashboard, broker settings and example configuration.
deploy-check:
    deploy/check

# Kafka, Ripen, Prometheus and Grafana in containers.
up:
    docker compose up --build
