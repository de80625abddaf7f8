# PostgreSQL and Redis for the tests, on loopback ports and temporary directories of their own. Sourced by script/test.

services_dir=""
postgres_bin=""
redis_pid=""

free_port() {
  .venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

find_postgres() {
  local place
  for place in /usr/lib/postgresql/*/bin "$(dirname "$(command -v initdb || echo /)")"; do
    [ -x "$place/initdb" ] && [ -x "$place/pg_ctl" ] && postgres_bin="$place" && return
  done
  return 1
}

# initdb refuses to run as root, so root hands the work to Debian's postgres user.
as_postgres() {
  if [ "$(id -u)" -ne 0 ]; then "$@"; else runuser -u postgres -- "$@"; fi
}

start_postgres() {
  find_postgres || return 1
  local port
  port="$(free_port)"
  mkdir "$services_dir/postgres"
  if [ "$(id -u)" -eq 0 ]; then
    chmod 755 "$services_dir"
    chown postgres "$services_dir/postgres" || return 1
  fi
  (cd "$services_dir/postgres" &&
    as_postgres "$postgres_bin/initdb" --pgdata=data --username=postgres --auth=trust --encoding=UTF8 \
      --locale=C.UTF-8 --no-sync >init.log 2>&1 &&
    as_postgres "$postgres_bin/pg_ctl" --pgdata=data --log=server.log --silent --wait start --options="-p $port \
      -c listen_addresses=127.0.0.1 -c unix_socket_directories=$services_dir/postgres -c fsync=off \
      -c synchronous_commit=off -c full_page_writes=off") || {
    tail -n 20 "$services_dir"/postgres/*.log >&2
    return 1
  }
  export TEST_DATABASE_URL="postgres://postgres@127.0.0.1:$port/postgres"
}

start_redis() {
  command -v redis-server >/dev/null || return 1
  local port
  port="$(free_port)"
  redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$services_dir" \
    >"$services_dir/redis.log" 2>&1 &
  redis_pid=$!
  .venv/bin/python - "$port" <<'END' || { tail -n 20 "$services_dir/redis.log" >&2; return 1; }
import sys, redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
client = redis.Redis(port=int(sys.argv[1]), retry=Retry(ConstantBackoff(0.1), 100), retry_on_error=[redis.ConnectionError])
sys.exit(not client.ping())
END
  export TEST_REDIS_URL="redis://127.0.0.1:$port/0"
}

stop_services() {
  if [ -n "$redis_pid" ]; then kill "$redis_pid" 2>/dev/null; wait "$redis_pid" 2>/dev/null; fi
  if [ -f "$services_dir/postgres/data/postmaster.pid" ]; then
    (cd "$services_dir/postgres" && as_postgres "$postgres_bin/pg_ctl" --pgdata=data --mode=immediate --silent stop)
  fi
  if [ -n "$services_dir" ]; then rm -rf "$services_dir"; fi
}
