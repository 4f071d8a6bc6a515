#!/bin/sh
# Edits of registry.db: kill -9 at each step leaves the old state or the new one; two that
# edit at once lose nothing; what is damaged is an error that names the file, and never other content.
set -u
. "${srcdir:?}/tests/lib/check.sh"
: "${builddir:?}"
export ASAN_OPTIONS=detect_leaks=0	# it cannot, under strace
T=$(mktemp -d /tmp/ipsecpol-edits.XXXXXX) || exit 1
trap 'rm -rf "$T"' EXIT
[ -x "$builddir/tests/regtool" ] || make -s -C "$builddir" tests/regtool >"$T/make" 2>&1 || { cat "$T/make"; echo "0 passed, 1 failed"; exit 1; }
tool() { d=$1; shift; "$builddir/tests/regtool" "$T/$d" "$@"; }
# content DIR: all of it as text, or why there is none
content() { tool "$1" dump 2>&1 || echo "no content"; }

# ---- power cuts ----
tool A edit first; tool B edit first; tool B edit second; tool C edit second
content A >"$T/a"; content B >"$T/b"; content C >"$T/c"; : >"$T/none"
same "an edit is told by its content alone" "$(cat "$T/c")" "$(cat "$T/b")"
if cmp -s "$T/a" "$T/b"; then bad "two states that differ"; else ok "two states that differ"; fi
# cuts NAME OLD STATE...: an edit of a copy of OLD ("": no store yet), cut at each call that changes
# something.  Afterwards it is one of the STATES, and can be edited.
cuts() {
	name=$1 old=$2; shift 2
	n=0 wrong=0 new=0
	for call in write pwrite64 fsync fdatasync rename unlink ftruncate; do
		k=1
		while [ $k -lt 400 ]; do
			rm -rf "$T/w"
			[ -z "$old" ] || cp -a "$T/$old" "$T/w"
			strace -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$k "$builddir/tests/regtool" "$T/w" edit second >"$T/out" 2>&1
			rc=$?
			[ $rc = 0 ] && break
			[ $rc = 137 ] || { wrong=$((wrong + 1)); cat "$T/out"; break; }
			found=
			if [ -d "$T/w" ]; then content w >"$T/got"; else : >"$T/got"; fi
			for s; do cmp -s "$T/got" "$T/$s" && found=$s; done
			[ -n "$found" ] || { wrong=$((wrong + 1)); echo "cut at $call $k:"; head -c 300 "$T/got"; }
			[ "$found" = b ] && new=$((new + 1))
			tool w edit second && content w | cmp -s - "$T/b" || { wrong=$((wrong + 1)); echo "cut at $call $k: cannot be edited any more"; }
			n=$((n + 1)) k=$((k + 1))
		done
	done
	if [ $wrong = 0 ] && [ $n -gt 20 ]; then ok "$name: cut at $n steps"; else bad "$name: $wrong of $n steps, or too few of them"; fi
	if [ $new -gt 0 ] && [ $new -lt $n ]; then ok "$name: before and after it took effect ($new after)"; else bad "$name: all on one side ($new after)"; fi
}
printf '[]\n' >"$T/empty"
cuts "an edit" A a b
cuts "the first edit" "" none empty b

# ---- several at once ----
tool D add one 100 >"$T/one" 2>&1 & one=$!
tool D add two 100 >"$T/two" 2>&1 & two=$!
while [ ! -e "$T/D/registry.db" ] && kill -0 $one 2>/dev/null; do sleep 0.01; done
check "a reader sees whole edits only, and waits for them" timeout 60 "$builddir/tests/regtool" "$T/D" watch 200
wait $one; rc_one=$?
wait $two; rc_two=$?
same "two writers" "0 0" "$rc_one $rc_two$(cat "$T/one" "$T/two")"
same "nothing is lost" "200 200" "$(tool D count)"

# ---- damage ----
for seed in 1 2; do
	check "cut and flipped bits, $seed" tool A damage $seed
	tail -1 "$T/check.out"
done
same "and put back it is what it was" "$(cat "$T/a")" "$(content A)"
finish
