# Sourced by tests that run ipsecpold: one namespace with a daemon, its files in $t.
# $builddir has the programs, $srcdir the sources.
: "${builddir:?}" "${srcdir:?}"
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok   $*"; }
fail() { failed=$((failed + 1)); echo "FAIL $*"; }
# check WHAT COMMAND...: the command must succeed; its output is shown when it does not,
# and stays in $t/out for `has`.
check() { what=$1; shift; if look "$@"; then ok "$what"; else fail "$what"; sed 's/^/     | /' "$t/looked" | tail -20; fi; }
check_not() { what=$1; shift; if look "$@"; then fail "$what"; sed 's/^/     | /' "$t/looked" | tail -20; else ok "$what"; fi; }
look() {
	"$@" >"$t/looked" 2>&1; rc=$?
	[ "$1" = has ] || [ "$1" = is ] || cp "$t/looked" "$t/out"
	return $rc
}
has() { grep -qE -- "$1" "$2" || { sed 's/^/  /' "$2" | head -20; echo "nothing like: $1"; return 1; }; }

t=$(mktemp -d /tmp/ipsecpol-test.XXXXXX) && chmod 711 "$t"
ns=ipsecpol-test-$$ daemon= more_ns=
ip netns add $ns && ip -n $ns link set lo up
finish() {
	[ -z "$daemon" ] || { kill -9 "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null; }
	for n in $ns $more_ns; do ip netns del $n 2>/dev/null; done
	rm -rf "$t"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP
cp "$builddir/ipsecpol-worker" "$t/" && chmod 755 "$t/ipsecpol-worker"
install -m 644 "$srcdir/examples/corp.ldif" "$t/corp.ldif"

in_ns() { ip netns exec $ns "$@"; }
cli() { in_ns "$builddir/ipsecpol" --config "$t/conf" "$@"; }
# conf COMPUTER [DIRECTORY-LINES [OTHER-LINES]]; $VICI: where charon's socket is (never the host's), $IKE: more about it
conf() {
	mkdir -p -m 700 "$t/state"; mkdir -p -m 755 "$t/run"
	cat >"$t/conf" <<EOF
[directory]
uri = ${URI:-ldif:$t/corp.ldif}
computer = $1
${2:-}
[policy]
${3:-}
[enforcement]
dns-servers = 10.77.0.1
[ike]
vici = ${VICI:-$t/charon.vici}
${IKE:-}
[daemon]
state-dir = $t/state
run-dir = $t/run
worker = $t/ipsecpol-worker
worker-user = nobody
EOF
	chmod 644 "$t/conf"
}
start() {
	: >"$t/log"
	ip netns exec $ns "$builddir/ipsecpold" --config "$t/conf" 2>"$t/log" &
	daemon=$!
	i=0
	while [ $i -lt 100 ]; do
		[ -S "$t/run/ipsecpol.socket" ] && cli status >/dev/null 2>&1 && return 0
		kill -0 $daemon 2>/dev/null || break
		sleep 0.05; i=$((i + 1))
	done
	echo "the daemon did not start"; cat "$t/log"; return 1
}
# stop [SIGNAL]
stop() { kill -"${1:-TERM}" $daemon; wait $daemon 2>/dev/null; rc=$?; daemon=; return $rc; }
table() { in_ns nft list table inet ipsecpol; }
# Without counters, and sorted: nft lists objects in the order of their making.
save_table() { in_ns nft list table inet ipsecpol 2>/dev/null | sed 's/packets [0-9]* bytes [0-9]*/packets N bytes N/' | sort >"$1"; }
table_is() { save_table "$t/now"; cmp "$t/now" "$1"; }
no_table() { ! in_ns nft list table inet ipsecpol >/dev/null 2>&1; }
# field PATH: of `status --json`, e.g. field enforced.generation
field() { cli status --json | python3 -c '
import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1].split("."): v = v[k]
print("" if v is None else v)' "$1"; }
is() { v=$(field "$1"); [ "$v" = "$2" ] || { echo "$1 is '$v', not '$2'"; return 1; }; }
summary() { echo "$passed passed, $failed failed"; [ $failed = 0 ]; }
