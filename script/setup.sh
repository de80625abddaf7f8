# Steps that script/server and script/test share. Sourced by them, from the repository's root.

step() { printf '[%s/%s] %s\n' "$1" "$2" "$3"; }

# fail WORDS [STATUS]: end with one line. Status 78: no later start goes better (dlproxy_site/serve.py).
fail() { printf '%s: %s\n' "$(basename "$0")" "$1" >&2; exit "${2:-1}"; }

# quietly WORDS COMMAND...: show the command's output only when it fails, then one line that says what failed.
quietly() {
  local words="$1" log status=0
  shift
  log="$(mktemp)"
  "$@" >"$log" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    fail "$words (see above)"
  fi
  rm -f "$log"
}

find_python() {
  local name
  for name in "${PYTHON:-python3.11}" python3.11 python3.12 python3.13 python3; do
    if command -v "$name" >/dev/null 2>&1 &&
      "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  fail "Python 3.11 or newer is needed; on Debian: apt-get install python3 python3-venv" 78
}

make_venv() {
  local python="$1"
  [ -x .venv/bin/python ] && .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no venv module; on Debian: apt-get install python3-venv" 78
  quietly "the virtual environment could not be made" "$python" -m venv --clear .venv
}

# install_packages REQUIREMENTS NODEPS: only when one of the files has changed since the last time that it went through.
install_packages() {
  local mark=".venv/installed-${1%.txt}" hash
  hash="$(cat requirements*.txt constraints.txt | sha256sum | cut -d ' ' -f 1)"
  [ -f "$mark" ] && [ "$(cat "$mark")" = "$hash" ] && return
  quietly "the packages could not be installed" .venv/bin/python -m pip install --quiet -r "$1"
  quietly "the packages could not be installed" .venv/bin/python -m pip install --quiet --no-deps -r "$2"
  printf '%s' "$hash" >"$mark"
}
