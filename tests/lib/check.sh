# Sourced by shell tests: one line a check, and "N passed, N failed" at the end.
n_passed=0 n_failed=0

ok() { n_passed=$((n_passed + 1)); echo "ok: $1"; }
bad() { n_failed=$((n_failed + 1)); echo "FAIL: $1"; [ -z "${2:-}" ] || printf '%s\n' "$2" | head -30 | sed 's/^/    /'; }

# check NAME COMMAND...: the command succeeds
check() { check_name=$1; shift; if "$@" >"$T/check.out" 2>&1; then ok "$check_name"; else bad "$check_name" "$(cat "$T/check.out")"; fi; }
# same NAME WANT GOT
same() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "wanted: $2
got:    $3"; fi; }
# has NAME TEXT WHERE: the text stands somewhere in WHERE
has() { case $3 in *"$2"*) ok "$1" ;; *) bad "$1" "not found: $2
in: $3" ;; esac; }
# hasnot NAME TEXT WHERE
hasnot() { case $3 in *"$2"*) bad "$1" "found: $2
in: $3" ;; *) ok "$1" ;; esac; }
# under NAME SECONDS: the last ask() took less
under() { if [ "$took" -lt $(($2 * 1000)) ]; then ok "$1 ($took ms)"; else bad "$1" "$took ms"; fi; }

finish() { echo "$n_passed passed, $n_failed failed"; [ "$n_failed" = 0 ] && [ "$n_passed" -gt 0 ]; }

# ask [ARGUMENT...]: one refresh by the worker, as nobody, with $T/conf; $ask_fds are redirections
# ("8</path"), $ask_env is put before it.  Sets $rc, $took (ms) and the files that part reads.
ask() {
	took=$(date +%s%3N)
	eval "setpriv --reuid 65534 --regid 65534 --clear-groups env $ask_env \"\$T/ipsecpol-worker\" --config \"\$T/conf\" \"\$@\" $ask_fds" \
		</dev/null 2>"$T/err" | cat >"$T/out"
	took=$(($(date +%s%3N) - took))
	case $(tail -n 1 "$T/out") in END\ *) rc=0 ;; *) rc=1 ;; esac
}
ask_fds= ask_env=
# part NAME: a part of the last result
part() { sed -n "/^part $1 [0-9]*\$/,/^\(part [a-z.-]* [0-9]*\|END [0-9a-f]*\)\$/p" "$T/out" | sed '1d;$d'; }
# why: what the worker said instead of a result
why() { sed -n 's/^TRASH //p' "$T/out"; }
# verdict GUID: of one GPO
verdict() { part rsop.json | python3 -c "
import json, sys
print(' '.join(g['verdict'] for g in json.load(sys.stdin)['gpos'] if g['id'].strip('{}').lower() == sys.argv[1].strip('{}').lower()))" "$1"; }
# rsop KEY: a plain value of the resolved assignment
rsop() { part rsop.json | python3 -c "
import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1].split('.'): v = v[k]
print(v)" "$1"; }
searches() { part snapshot | grep -c '^# search:'; }
