#!/bin/sh
# The daemon, its control socket and the command line on the example domain.
set -u
. "${srcdir:?}/tests/lib/daemon.sh"

# edit EXPRESSION: change the directory
edit() { sed -i "$1" "$t/corp.ldif"; }
# ldif REGEX REPLACEMENT: the same on unfolded lines, across lines
ldif() { python3 -c 'import re, sys
s = open(sys.argv[1]).read().replace("\n ", "")
r, n = re.subn(sys.argv[2], sys.argv[3], s, flags=re.S | re.I)
if not n: sys.exit("no match for " + sys.argv[2])
open(sys.argv[1], "w").write(r)' "$t/corp.ldif" "$1" "$2"; }
restore_directory() { install -m 644 "$srcdir/examples/corp.ldif" "$t/corp.ldif"; }

# ---- first refresh ----
conf WEB1
in_ns nft 'table inet other { chain c { type filter hook input priority 0; tcp dport 1 drop comment "foreign"; }; }'
in_ns nft list table inet other >"$t/foreign"
check "starts with an empty store" start
check "first refresh" cli refresh
check "with the time of the next" has "next in" "$t/out"
check "mode secure" is mode secure
check "source domain" is source domain
check "policy named" has "Web servers" "$t/out"
check "generation 1" is enforced.generation 1
save_table "$t/web"
check "the table names filter, rule and GPO" has 'comment "f:[0-9a-f]{8} r:[0-9a-f]{8} g:[0-9a-f]{8}' "$t/web"
check "a foreign table is untouched" sh -c "ip netns exec $ns nft list table inet other | cmp - $t/foreign"

# ---- unchanged ----
handles() { in_ns nft -a list table inet ipsecpol | grep -o 'handle [0-9]*' | sort -u | md5sum; }
before=$(handles)
check "second refresh" cli refresh
check "an unchanged policy is not a new generation" is enforced.generation 1
[ "$before" = "$(handles)" ] && ok "an unchanged policy sends nothing" || fail "an unchanged policy sends nothing"
check "plan finds nothing to do" cli plan

# ---- show ----
for s in snapshot rsop policy ruleset facts; do
	check "show $s" cli show $s
	[ -s "$t/out" ] || fail "show $s prints something"
	check "show $s --json is JSON" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf show $s --json | python3 -m json.tool"
done
cli show ruleset >"$t/ruleset.nft"
ip netns add $ns-b; more_ns=$ns-b
check "show ruleset is what nft -f reads" ip netns exec $ns-b nft -f "$t/ruleset.nft"
ip netns exec $ns-b nft list table inet ipsecpol 2>/dev/null | sed 's/packets [0-9]* bytes [0-9]*/packets N bytes N/' | sort >"$t/loaded"
check "and gives the very table" cmp "$t/loaded" "$t/web"

# ---- who may ask ----
check "status is for everybody" in_ns setpriv --reuid=65534 --regid=65534 --clear-groups "$builddir/ipsecpol" --config "$t/conf" status
check_not "refresh is for root" in_ns setpriv --reuid=65534 --regid=65534 --clear-groups "$builddir/ipsecpol" --config "$t/conf" refresh
check "and says so" has "root" "$t/out"

# ---- our table is put back, foreign ones live their own life ----
in_ns nft delete table inet ipsecpol; sleep 0.3
check "a deleted table is put back" table_is "$t/web"
in_ns nft flush chain inet ipsecpol input; sleep 0.3
check "a flushed chain is put back" table_is "$t/web"
in_ns nft flush ruleset; sleep 0.3
check "after flush ruleset too" table_is "$t/web"
check "status tells" is table_restored 3

# ---- a change in the policy ----
edit 's/displayName: IPsec web servers/displayName: IPsec web servers, renamed/'
check "refresh after a renamed GPO" cli refresh
check "the new name is seen" has "renamed" "$t/out"
check "generation 2" is enforced.generation 2
restore_directory
check "and back" cli refresh
check "generation 3" is enforced.generation 3
check "the same table" table_is "$t/web"

# ---- assignment moves ----
edit 's/^sAMAccountName: WEB1\$/sAMAccountName: WEBX$/'
check_not "the computer account is gone: refresh fails" cli refresh
check "the policy stays" table_is "$t/web"
check "and status says why" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf status | grep 'WEB1\\$ does not exist'"
restore_directory
check "back again" cli refresh

# ---- the policy is deleted while assigned ----
ldif '\ndn: CN=ipsecPolicy.C6EF3620-D0C5-4000-8000-000000000020.,.*?\n\n' '\n'
check_not "policy object deleted: refresh fails" cli refresh
check "its name is in the message" has "000000000020" "$t/out"
check "the policy stays" table_is "$t/web"
check "mode stays secure" is mode secure
check_not "plan fails too" cli plan
restore_directory
# ---- a malformed part ----
ldif '(dn: CN=ipsecNegotiationPolicy.7D148C40-D0C5-4000-8000-000000002040.*?\nipsecData:: )[^\n]*' '\1AAAA'
check_not "malformed action: refresh fails" cli refresh
check "object and field are named" has "ipsecNegotiationPolicy|action" "$t/out"
check "the policy stays" table_is "$t/web"
restore_directory

# ---- the directory is gone ----
mv "$t/corp.ldif" "$t/gone"
check_not "no directory: refresh fails" cli refresh
check "source is the cache" is source cache
check "the policy stays" table_is "$t/web"
has "directory-lost|cannot be asked" "$t/log" >/dev/null && ok "one event" || fail "one event"
check "SIGTERM ends it" stop TERM
check "and leaves the rules" table_is "$t/web"
in_ns nft delete table inet ipsecpol
check "starts without a directory" start
check "with the cached policy enforced" table_is "$t/web"
check "source is the cache" is source cache
stop KILL
check "kill -9 leaves the rules" table_is "$t/web"
check "starts again" start
check "nothing changed" table_is "$t/web"
stop KILL
check "stop without a service removes its rules" cli stop
check "and says so" has 'no daemon is running, and no rules' "$t/out"
check "they are gone" no_table
check "starts once more" start
check "with the cached policy" table_is "$t/web"
mv "$t/gone" "$t/corp.ldif"

# ---- SIGHUP ----
cp "$t/conf" "$t/conf.good"
echo "nonsense = 1" >>"$t/conf"
kill -HUP $daemon; sleep 0.5
check "a bad configuration is refused, with file and line" has "conf:[0-9]+" "$t/log"
check "the daemon lives" cli --config "$t/conf.good" status
cp "$t/conf.good" "$t/conf"
sed -i 's/^\[enforcement\]/[enforcement]\nlifeline = no/' "$t/conf"
kill -HUP $daemon; sleep 0.7
check "SIGHUP takes the new configuration" is exemptions.lifeline False
save_table "$t/nolife"
check_not "and renders with it" cmp -s "$t/nolife" "$t/web"
cp "$t/conf.good" "$t/conf"; kill -HUP $daemon; sleep 0.7
check "and back" table_is "$t/web"

# ---- nothing assigned ----
ldif '\ngPLink:[^\n]*' ''
check "no link any more: refresh" cli refresh
check "mode permit" is mode permit
check "the table is gone" no_table
stop TERM; check "starts" start
sleep 0.3
check "the cache is gone too" no_table
restore_directory
check "assigned again" cli refresh
check "the same table" table_is "$t/web"
check "a generation number is never used twice" test "$(field enforced.generation)" -gt 2

# ---- stop by hand ----
check "ipsecpol stop" cli stop
wait $daemon; daemon=
check "permit mode: the table is gone" no_table
check_not "status without a daemon fails" cli status
check "and says what to do" has "not running" "$t/out"
check "apply without a daemon" cli apply
check "enforces" table_is "$t/web"
check "a second one finds it done" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf apply | grep 'already'"
check "the daemon starts beside the rules" start
check_not "apply beside the daemon" cli apply
check "says what to do" has "refresh" "$t/out"

# ---- on-unreadable-policy = block ----
stop TERM; conf WEB1 "" "on-unreadable-policy = block"; start
ldif '\ndn: CN=ipsecPolicy.C6EF3620-D0C5-4000-8000-000000000020.,.*?\n\n' '\n'
check_not "unreadable, block: refresh fails" cli refresh
check "mode block" is mode block
restore_directory
check "readable again" cli refresh
check "mode secure" is mode secure
check "the policy's table" table_is "$t/web"

# ---- a policy that cannot be cached is held in memory ----
stop TERM; rm -rf "$t/state" "$t/run"; in_ns nft delete table inet ipsecpol
conf WEB1
mkdir -p "$t/small"
unshare -m sh -c "mount --make-rprivate /; mount -t tmpfs -o size=128k,mode=700 none '$t/state'; exec ip netns exec $ns '$builddir/ipsecpold' --config '$t/conf'" 2>"$t/log" &
daemon=$!
i=0; while [ $i -lt 100 ] && ! cli status >/dev/null 2>&1; do sleep 0.05; i=$((i + 1)); done
check_not "no room for the cache: refresh says so" cli refresh
check "the policy is enforced all the same" table_is "$t/web"
check "and it is said that it is not cached" is refresh.result "enforced, not cached"
in_ns nft delete table inet ipsecpol; sleep 0.3
check "a deleted table is put back from memory" table_is "$t/web"
stop TERM; rm -rf "$t/state"; in_ns nft delete table inet ipsecpol
conf WEB1 "" "on-unreadable-policy = block"; start; cli refresh >/dev/null

# ---- a damaged store ----
stop TERM; in_ns nft delete table inet ipsecpol
conf WEB1; mv "$t/corp.ldif" "$t/gone"
printf 'garbage' | dd of="$t/state/store.db" bs=1 seek=30 conv=notrunc 2>/dev/null; truncate -s 5000 "$t/state/store.db"
check "starts with a damaged store" start
check "the boot image takes its part" table_is "$t/web"
check "the damaged file is kept" test -s "$t/state/store.db.damaged"
check "an event names it" has "damaged|malformed|not a database|corrupt" "$t/log"
stop TERM; in_ns nft delete table inet ipsecpol
truncate -s 5000 "$t/state/store.db"; truncate -s 100 "$t/state/boot.image"
check "starts with a damaged store and a damaged image" start
check "everything is blocked, not open" is mode block
check "with an event" has "everything is blocked" "$t/log"
stop TERM; check "which stays" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep -q 'block mode'"
mv "$t/gone" "$t/corp.ldif"
check "starts" start
check "and is healed by a refresh" cli refresh
check "the policy's table" table_is "$t/web"

# ---- hostile names ----
ldif 'displayName: IPsec web servers' 'displayName:: SVBzZWMbWzJKIMKbMjAwIOKAriB3ZWI='
check "a GPO's name with escape sequences" cli refresh
cli refresh >"$t/out" 2>&1; cli plan >>"$t/out" 2>&1; cli show rsop >>"$t/out"; cat "$t/log" >>"$t/out"
check_not "does nothing to a terminal" grep -qP '\x1b|\xc2\x9b|\xe2\x80\xae' "$t/out"
restore_directory; cli refresh >/dev/null

# ---- a second daemon on the same store ----
timeout 5 ip netns exec $ns "$builddir/ipsecpold" --config "$t/conf" >"$t/second" 2>&1
[ $? = 1 ] && ok "a second daemon refuses to start" || fail "a second daemon refuses to start"
check "and says why" has "another|running|lock" "$t/second"

# ---- a worker that hangs or talks nonsense ----
stop TERM; conf WEB1 "refresh-timeout = 2"
for w in 'sleep 60' 'echo hello' 'printf "BEGIN ipsecpol 1\npart policy 5\nhello\n"' 'kill -SEGV $$' 'yes | head -c 300000000'; do
	printf '#!/bin/sh\n%s\n' "$w" >"$t/worker.sh"; chmod 755 "$t/worker.sh"
	sed -i "s|^worker = .*|worker = $t/worker.sh|" "$t/conf"
	check "starts" start
	check_not "worker '$w': refresh fails" cli refresh
	check "the policy stays" table_is "$t/web"
	stop TERM
done
check "no process is left behind" sh -c "! pgrep -f '$t/[w]orker.sh|[s]leep 60'"
summary
