# `./just <recipe>` needs only Python 3.11 and a shell; `just <recipe>` and `uv run just <recipe>` do the same.

set positional-arguments

# the lock is never rewritten by running something
run := "uv run --locked"

_list:
    @"{{ just_executable() }}" --justfile "{{ justfile() }}" --list --unsorted

# Start everything on this machine: Postgres, NATS, five services, demo data (Ctrl-C stops it)
[group('run')]
up *args:
    @exec {{ run }} python -m cafeteria.local_stack up "$@"

# Throw the local stack's data away
[group('run')]
reset *args:
    @exec {{ run }} python -m cafeteria.local_stack reset "$@"

# without compiled modules on disk each worker, and each of a hundred services that tests start, would compile all of them
#
# Run the tests, or some of them: `just test packages/stock -k release`. All run on four workers, but for those of `just check`
[group('develop')]
test *args:
    @[ $# -gt 0 ] || set -- --numprocesses 4 -m 'not house and not alone and not heavy'; unset PYTHONDONTWRITEBYTECODE; exec {{ run }} pytest "$@"

# Everything that must hold besides the tests: lock, format, lint, types, imports, sizes, each member alone. Edits nothing
[group('develop')]
[parallel]
check: _lint _types _house _alone _workflows lint-api

_lint:
    uv lock --check --quiet
    {{ run }} ruff format --check
    {{ run }} ruff check
    {{ run }} lint-imports

# one cache for all: what the sources' run has read, the tests' runs do not read again. Tests, a folder at a time: their modules have equal names
_types:
    #!/bin/sh
    set -eu
    {{ run }} mypy
    root=$PWD
    export MYPYPATH=$(printf '%s:' "$root"/packages/*/src "$root"/tools/*/src)
    for folder in packages/*/tests/* tools/*/tests/* tests/*; do
        [ -d "$folder" ] && [ -n "$(find "$folder" -maxdepth 1 -name '*.py')" ] || continue
        (cd "$folder" && {{ run }} mypy --config-file "$root/pyproject.toml" --cache-dir "$root/.mypy_cache" .) \
            || { echo "in $folder"; exit 1; }
    done

# without the network; every finding fails
_workflows:
    {{ run }} zizmor --offline --no-progress --quiet .github

_house:
    {{ run }} pytest -q -m house

_alone:
    {{ run }} pytest -q -m alone

# The OpenAPI documents of all services against Redocly's recommended rules, where Node is there
[group('develop')]
lint-api:
    #!/bin/sh
    set -eu
    export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
    redocly() { npx --yes @redocly/cli@2.77.0 "$@"; }
    command -v npx >/dev/null || { echo 'lint-api: skipped: there is no Node (npx) on PATH.'; exit 0; }
    redocly --version >/dev/null 2>&1 || { echo 'lint-api: skipped: npx could not fetch or run Redocly.'; exit 0; }
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    {{ run }} python -m cafeteria.local_stack.api_documents "$folder"
    redocly lint --extends=recommended-strict "$folder"/*.json

# Format the code and apply the safe fixes of the linter
[group('develop')]
fmt:
    {{ run }} ruff format
    {{ run }} ruff check --fix

# A service of the same shape, with schema, role, bus user, tests: `just new-service loyalty` (docs/adopting.md)
[group('develop')]
new-service *args:
    @exec {{ run }} python -m cafeteria.local_stack.new_service "$@"

# Bring every schema to the newest migration
[group('data')]
migrate *args:
    @exec {{ run }} python -m cafeteria.local_stack migrate "$@"

# What is kept about one student, and how the student is forgotten: `just student-data export 210041101`
[group('data')]
student-data *args:
    @exec {{ run }} python -m cafeteria.local_stack student-data "$@"

# Create the accounts of a CSV file: `just import-students FILE` tells what would happen, `--apply` does it
[group('data')]
import-students *args:
    @exec {{ run }} python -m cafeteria.local_stack import-students "$@"

# Create the first operator, whose one-time password is shown once: `just operator ID`
[group('data')]
operator *args:
    @exec {{ run }} python -m cafeteria.local_stack operator "$@"

# The messages and their golden examples against the code of all services
[group('data')]
contracts *args:
    @exec {{ run }} pytest packages/shared-contracts/tests tests/contracts "$@"

# Hundreds of students order while everything is killed; a table says what held: `just rush --orders 100000 --faults 500`
[group('prove')]
rush *args:
    @exec {{ run }} python -m cafeteria.rush "$@"

# Schemathesis against all running services, without a token and in each role: `just fuzz --minutes 30`
[group('prove')]
fuzz *args:
    @exec {{ run }} python tests/fuzz "$@"

# status 1 is a missed target, which the report shows: that is no failure of the recipe
#
# How fast: each figure beside what it is measured against; without a name, what there is: `just bench accept`
[group('prove')]
[no-exit-message]
bench *args:
    @exec {{ run }} python -m cafeteria.bench "$@"

# What the images consist of, as CycloneDX: every package with its version, source and digest: `just sbom sbom.cdx.json`
[group('supply')]
sbom file='sbom.cdx.json':
    #!/bin/sh
    set -eu
    set -- --package cafeteria-provisioning
    for program in packages/*/src/cafeteria/*/__main__.py; do
        set -- "$@" --package "cafeteria-$(echo "$program" | cut -d/ -f2)"
    done
    uv export --quiet --locked --no-dev --format cyclonedx1.5 --output-file '{{ file }}' "$@"
    echo "sbom: wrote {{ file }}"

# Known vulnerabilities of the packages in uv.lock. Status 1: some are known. Status 2: the advisories could not be read
[group('supply')]
[no-exit-message]
audit *args:
    #!/bin/sh
    uv audit --preview-features audit-command --locked "$@"
    status=$?
    [ $status -ne 2 ] || echo 'audit: NOTHING WAS CHECKED: the lines above say why. The advisories are at api.osv.dev.' >&2
    exit $status
