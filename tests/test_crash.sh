#!/bin/sh
# kill -9 at each step of a refresh: the kernel holds generation N or N-1, the cache too,
# never neither.  A step is the Nth call of a system call that writes, sends, syncs, renames
# or removes; of the many page writes of SQLite every fifth.
set -u
. "${srcdir:?}/tests/lib/daemon.sh"
steps="sendto sendmsg write pwrite64 fsync fdatasync rename unlink ftruncate"
stride() { case $1 in pwrite64) echo 5 ;; *) echo 1 ;; esac; }

conf WEB1
cli apply >/dev/null || { fail "setting up generation 1"; summary; exit; }
save_table "$t/A"; cp -a "$t/state" "$t/state.A"; cp "$t/corp.ldif" "$t/corp.A"
# The other generation: the OU's strongest link is now another GPO.
python3 - "$t/corp.A" "$t/corp.B" <<'P'
import sys
s = open(sys.argv[1]).read().replace('\n ', '')
i = s.index('dn: OU=Web,'); j = s.index('\n\n', i)
gpos = [l.split(',')[0] for l in s.split('\n') if l.startswith('dn: CN={') and l.count(',') == 4]
web, workstations = gpos[3][7:], gpos[9][7:]
assert web in s[i:j]
s = s[:i] + s[i:j].replace(web, workstations) + s[j:]
open(sys.argv[2], 'w').write(s)
P
chmod 644 "$t/corp.B"
cp "$t/corp.B" "$t/corp.ldif"; cli apply >/dev/null; save_table "$t/B"
check_not "two generations with different tables" cmp -s "$t/A" "$t/B"

reset() {
	rm -rf "$t/state"; cp -a "$t/state.A" "$t/state"
	cp "$t/corp.A" "$t/corp.ldif"
	cli apply >/dev/null && table_is "$t/A" >/dev/null || { fail "reset before step $1"; return 1; }
	cp "$t/corp.B" "$t/corp.ldif"
}
# judge STEP: what the kernel has, and what an offline start makes of the cache.
judge() {
	table_is "$t/A" >/dev/null || table_is "$t/B" >/dev/null || { fail "step $1: the kernel holds neither generation"; return 1; }
	in_ns nft delete table inet ipsecpol
	mv "$t/corp.ldif" "$t/corp.off"
	start >/dev/null 2>&1 || { fail "step $1: does not start again"; cat "$t/log"; return 1; }
	table_is "$t/A" >/dev/null || table_is "$t/B" >/dev/null || { fail "step $1: the cache holds neither generation"; cat "$t/log"; return 1; }
	table_is "$t/B" >/dev/null && cached_b=$((cached_b + 1))
	stop KILL
	return 0
}

# ---- the foreground refresh ----
n=0 bad=0 cached_b=0
for call in $steps; do
	k=1
	while [ $k -lt 200 ]; do
		reset "$call $k" || break
		in_ns strace -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$k \
			"$builddir/ipsecpol" --config "$t/conf" apply >/dev/null 2>&1 && break
		judge "$call $k" || bad=$((bad + 1))
		n=$((n + 1)) k=$((k + $(stride $call)))
	done
done
[ $bad = 0 ] && [ $n -gt 30 ] && ok "apply: killed at $n steps" || fail "apply: $bad of $n steps, or too few of them"
[ $cached_b -gt 0 ] && [ $cached_b -lt $n ] && ok "before and after the cache was written ($cached_b after)" || fail "all on one side of the cache's writing ($cached_b after)"

# ---- the daemon: its own steps, from the start to the refresh's end ----
settled() { cli status --json 2>/dev/null | grep -q '"result": "ok"'; }
n=0 bad=0 cached_b=0
for call in $steps; do
	k=1
	while [ $k -lt 200 ]; do
		reset "$call $k" || break
		: >"$t/log"
		ip netns exec $ns strace -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$k \
			"$builddir/ipsecpold" --config "$t/conf" 2>"$t/log" &
		tracer=$! i=0
		while kill -0 $tracer 2>/dev/null && [ $i -lt 60 ] && ! settled; do sleep 0.03; i=$((i + 1)); done
		kill -0 $tracer 2>/dev/null && survived=yes || survived=no
		for p in $(pgrep -P $tracer); do kill -9 "$p" 2>/dev/null; done
		wait $tracer 2>/dev/null
		judge "daemon, $call $k" || bad=$((bad + 1))
		[ $survived = no ] || break
		n=$((n + 1)) k=$((k + $(stride $call)))
	done
done
[ $bad = 0 ] && [ $n -gt 30 ] && ok "daemon: killed at $n steps" || fail "daemon: $bad of $n steps, or too few of them"
[ $cached_b -gt 0 ] && [ $cached_b -lt $n ] && ok "before and after the cache was written ($cached_b after)" || fail "all on one side of the cache's writing ($cached_b after)"
summary
