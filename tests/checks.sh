# Functions shared by tests/run and .ci/run; sourced, never run.

# Lines "not run: …" of this run; every script that is called appends to the same file.
if [ -z "${RIPEN_NOT_RUN:-}" ]; then
    mkdir -p target
    RIPEN_NOT_RUN=$PWD/target/not-run
    : >"$RIPEN_NOT_RUN"
fi
export RIPEN_NOT_RUN
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

# not_run WHAT WHY
not_run() { echo "not run: $1: $2" | tee -a "$RIPEN_NOT_RUN"; }

# step NAME COMMAND…: runs it and says how long it took; its failure is the caller's.
step() {
    local name=$1 from=$SECONDS status=0
    shift
    "$@" || status=$?
    echo "step $name: $((SECONDS - from)) s"
    return "$status"
}

# packages_missing COMMAND:PACKAGE…: prints the packages whose command is absent.
packages_missing() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
    done | sort -u
}

# install_packages PACKAGE…: fails, having said nothing, where packages cannot be installed.
install_packages() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

# require_packages COMMAND:PACKAGE…: what the tests cannot do without.
require_packages() {
    local missing
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086 # one word per package
    if ! install_packages $missing; then
        echo "missing: $(echo $missing); install with: sudo apt-get install" $missing >&2
        exit 1
    fi
}

# suite_lines LOG UNIT_S INTEGRATION_S: one line per test binary: its time beside its budget.
suite_lines() {
    awk -v unit="$2" -v integration="$3" '
        /^ +Running / { name = $2 == "unittests" ? $3 : $2; budget = $2 == "unittests" ? unit : integration
                        binary = $NF; sub(/^.*\//, "", binary); sub(/-[0-9a-f]+\)$/, "", binary)
                        name = binary " (" name ")" }
        /^ +Doc-tests / { name = $2 " (doc-tests)"; budget = unit }
        /^test result: / { seconds = $NF; sub(/s$/, "", seconds)
                           if ($4 + $6 > 0)
                               printf "suite %-44s %7.1f s of %3d s%s\n", name, seconds, budget,
                                      (seconds + 0 > budget + 0) ? "  OVER BUDGET" : "" }
    ' "$1"
}

# test_total LOG STATUS: the counts over all suites. A build that failed or was stopped counts as one failure.
test_total() {
    awk -v status="$2" -v not_run="$(wc -l <"$RIPEN_NOT_RUN")" '
        /^test result: / { passed += $4; failed += $6; ignored += $8 }
        END { if (status != 0 && failed == 0) failed = 1
              if (not_run > 0) printf "%d not run\n", not_run
              printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }
    ' "$1"
}

# deny_check: licences, bans and sources of every dependency. Advisories need a database from a git server.
deny_check() {
    if ! command -v cargo-deny >/dev/null; then
        PATH=$PWD/target/tools/bin:$PATH
        if ! command -v cargo-deny >/dev/null && ! cargo install cargo-deny --locked --root target/tools; then
            not_run "cargo deny" "cargo-deny could not be built"
            return 0
        fi
    fi
    not_run "cargo deny check advisories" "the advisory database is a git repository, which tests do not fetch"
    cargo deny --offline check licenses bans sources
}
