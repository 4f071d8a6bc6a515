#!/bin/sh
# The netlink socket against the kernel, with nft(8) as referee.  Root; own network
# namespaces only.
set -u
: "${builddir:=.}" "${srcdir:=.}"
T=$(mktemp -d) || exit 1
chmod 755 "$T"
. "$srcdir/tests/lib/check.sh"
n=ikn$$ m=ikm$$
trap 'exec 8>&-; for x in $n $m; do ip netns del $x 2>/dev/null; done; rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
tool=$builddir/tests/nfttool
for x in $n $m; do ip netns add $x && ip -n $x link set lo up; done
inn() { ip netns exec $n "$@"; }
nft_in() { ip netns exec $n nft "$@"; }
apply() { inn "$tool" apply "$@" 2>"$T/log"; }
table() { ip netns exec $1 nft list table inet ipsecpol; }

cat >"$T/one" <<'P'
lifeline
fact dc 10.77.0.1
fact dns 10.77.0.1
fact dns fd00::53
rule permit Allow ICMP
filter me any 1 * * mirrored
rule block No "telnet" to \ anybody
filter me any tcp * 23 mirrored
filter any 10.1.0.0/16 udp 1000-2000 53
filter 10.0.0.1-10.0.0.3 10.1.0.0/16 udp 1000 53
filter 10.1.0.0/16 10.1.0.9/32 tcp 1-9 53
filter 10.1.0.8/32 10.1.0.9/32 tcp 53 1-9
rule require Secure server äöü
filter me 10.0.0.0/24 any * * mirrored
filter me 10.0.0.7/32 tcp 445 * mirrored
rule request-pass lan Lan
filter 10.0.0.0/8 10.9.9.1-10.9.9.9 any * *
filter me fd00::/64 any * * mirrored
rule pass tunnel Tunnel
filter 10.2.0.0/16 10.3.0.0/16 any * *
rule request dialup Modem
filter 10.2.0.0/16 any 47 * *
rule block
filter any any any * *
P

# ---- applying, and applying again
out=$(apply "$T/one")
has "a first apply creates the table" "created 1" "$out"
check "the kernel holds what was wanted" inn "$tool" diff "$T/one"
same "a second apply sends nothing" "changes 0 bytes 0 created 0" "$(apply "$T/one")"
same "and logs nothing" "" "$(cat "$T/log")"

# ---- nft(8) as referee
json() { ip netns exec $1 nft -j list table inet ipsecpol | python3 -c '
import json, sys
def clean(x):
    if isinstance(x, dict): return {k: clean(v) for k, v in x.items() if k not in ("handle", "metainfo", "packets", "bytes")}
    return [clean(v) for v in x] if isinstance(x, list) else x
print(json.dumps(clean(json.load(sys.stdin)), indent=1, sort_keys=True))'; }
"$tool" write "$T/one" >"$T/text"
check "nft reads our text" ip netns exec $m nft -f "$T/text"
json $n >"$T/j1"
json $m >"$T/j2"
check "text and transaction give the same table" cmp "$T/j1" "$T/j2"
table $n >"$T/l1"
table $m >"$T/l2"
check "with the same comments" cmp "$T/l1" "$T/l2"
check "read back alike" ip netns exec $m "$tool" diff "$T/one"
inn "$tool" fetch >"$T/fetched"
check "what is read back prints as the text" cmp "$T/text" "$T/fetched"
ip netns exec $m nft delete table inet ipsecpol
check "nft reads its own listing" ip netns exec $m nft -f "$T/l1"
table $m >"$T/l2"
check "and lists it the same again" cmp "$T/l1" "$T/l2"
check "which is still our table" ip netns exec $m "$tool" diff "$T/one"
has "comments lead back" 'comment "f:00000001 r:10000000 g:aaaaaaaa Allow ICMP"' "$(cat "$T/l1")"
for f in stateful startup block; do
	printf 'lifeline\ndiagnostics 6\nfact dc 10.77.0.1\nexempt tcp 0 3389 in\nexempt udp 5 53 out\nexempt 1 0 0 in\n' >"$T/mode"
	ip netns exec $m nft flush ruleset
	"$tool" write "$f:$T/mode" >"$T/text"
	check "$f: nft reads our text" ip netns exec $m nft -f "$T/text"
	check "$f: read back alike" ip netns exec $m "$tool" diff "$f:$T/mode"
	apply "$f:$T/mode" >/dev/null
	json $n >"$T/j1"
	json $m >"$T/j2"
	check "$f: text and transaction give the same table" cmp "$T/j1" "$T/j2"
	table $n >"$T/l1"
	ip netns exec $m nft flush ruleset
	check "$f: nft reads its own listing" ip netns exec $m nft -f "$T/l1"
	check "$f: which is still our table" ip netns exec $m "$tool" diff "$f:$T/mode"
	same "$f: and unchanged nothing is sent" "changes 0 bytes 0 created 0" "$(apply "$f:$T/mode")"
done
{ echo 'diagnostics 6'; cat "$T/one"; } >"$T/loud"
apply "$T/loud" >/dev/null
check "with diagnostics: read back alike" inn "$tool" diff "$T/loud"
table $n >"$T/l1"
ip netns exec $m nft flush ruleset
check "with diagnostics: nft reads its own listing" ip netns exec $m nft -f "$T/l1"
check "with diagnostics: which is still our table" ip netns exec $m "$tool" diff "$T/loud"
table $m >"$T/l2"
check "with diagnostics: and lists it the same again" cmp "$T/l1" "$T/l2"
apply "$T/one" >/dev/null
table $n >"$T/l1"
hasnot "no comment is longer than nft takes" x "$(grep -oE 'comment "[^"]{128,}"' "$T/l1" | tr -c '\n' x)"

# ---- foreign tables
nft_in add table inet other
nft_in 'add chain inet other c { type filter hook input priority 0; policy accept; }'
nft_in add rule inet other c tcp dport 1 counter drop
nft_in add table ip ipsecpol
nft_in add chain ip ipsecpol theirs
nft_in list ruleset >"$T/before"
sed 's/rule permit Allow/rule block Forbid/' "$T/one" >"$T/two"
apply "$T/two" >/dev/null
apply "$T/one" >/dev/null
others() { nft_in list table inet other; nft_in list table ip ipsecpol; }
others >"$T/o1"
out=$(inn "$tool" remove)
hasnot "our table can be removed" "table inet ipsecpol" "$(nft_in list tables)"
same "removing twice sends nothing" "changes 0 bytes 0 created 0" "$(inn "$tool" remove)"
others >"$T/o2"
check "other tables stay, also one of our name in another family" cmp "$T/o1" "$T/o2"
has "the other tables are there" "tcp dport 1 counter" "$(others)"

# ---- small changes are small
apply "$T/one" >/dev/null
sed 's/tcp \* 23 mirrored/tcp * 24 mirrored/' "$T/one" >"$T/two"
out=$(apply "$T/two")
set -- $out
check "one changed filter is one delete and one add a map ($out)" test "$2" = 8 -a "$4" -lt 2000
check "it arrived" inn "$tool" diff "$T/two"
sed 's/rule permit Allow ICMP/rule require Allow ICMP/' "$T/two" >"$T/three"
out=$(apply "$T/three")
set -- $out
check "one changed verdict replaces the element ($out)" test "$4" -lt 2500
check "and arrived" inn "$tool" diff "$T/three"
ip netns exec $n sh -c 'for i in 1 2 3; do ping -c1 -W1 127.0.0.1; done' >/dev/null 2>&1
apply "$T/two" >/dev/null
hasnot "counters of what did not change go on" 'oif "lo" counter packets 0 ' "$(table $n)"

# ---- what others did to our table
i=0
meddle() {
	nft_in "$1" || bad "the test can do: $1"
	inn "$tool" diff "$T/two" >"$T/out" 2>&1
	same "seen: $1" 2 $?
	apply "$T/two" >"$T/out" 2>&1
	same "put right: $1" 0 $?
	check "and nothing is left of it" inn "$tool" diff "$T/two"
}
meddle 'delete table inet ipsecpol'
meddle 'insert rule inet ipsecpol input accept'
meddle 'insert rule inet ipsecpol in4 tcp dport { 1, 2 } accept'
meddle 'insert rule inet ipsecpol in4 tcp dport vmap { 1 : drop, 2 : accept }'
meddle 'insert rule inet ipsecpol in4 limit rate 5/second log prefix "x" accept'
meddle 'insert rule inet ipsecpol in4 ip saddr & 255.0.255.0 == 10.0.1.0 accept'
meddle 'insert rule inet ipsecpol in4 ip daddr 10.0.0.1 ip saddr 10.0.0.2 ip ttl 5 counter counter accept'
meddle 'insert rule inet ipsecpol in4 meta mark set 5 accept'
meddle 'insert rule inet ipsecpol in4 tcp flags syn counter packets 5 bytes 5 ct state new ct mark 7 accept'
meddle 'insert rule inet ipsecpol in4 limit rate 50/second burst 100 packets log prefix "ipsecpol in block" group 4500'
meddle 'insert rule inet ipsecpol in4 limit rate 50/minute burst 100 packets log prefix "ipsecpol in block" group 4500'
meddle 'insert rule inet ipsecpol in4 limit rate over 50/second burst 100 packets log prefix "ipsecpol in block" group 4500'
meddle 'insert rule inet ipsecpol in4 limit rate 50/second burst 100 packets drop'
meddle 'insert rule inet ipsecpol in4 log prefix "ipsecpol in block" group 4500'
meddle 'insert rule inet ipsecpol in4 limit rate 50/second burst 100 packets log prefix "x" group 4500 snaplen 9 drop'
meddle 'insert rule inet ipsecpol in4 ct direction original accept'
meddle 'flush chain inet ipsecpol postrouting'
meddle 'add element inet ipsecpol out4_sme_p { udp : accept }'
meddle 'delete element inet ipsecpol out4_sme_p { icmp }'
meddle 'flush set inet ipsecpol lifeline4'
meddle 'add chain inet ipsecpol theirs { type filter hook prerouting priority 0; policy drop; }'
meddle 'chain inet ipsecpol input { policy drop; }'
meddle 'add chain inet ipsecpol theirs { accept; }'
meddle 'add set inet ipsecpol theirs { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }; }'
meddle 'add map inet ipsecpol theirs { type ipv4_addr : ipv4_addr; elements = { 10.0.0.1 : 10.0.0.2 }; }'
meddle 'add counter inet ipsecpol theirs'
meddle 'add table inet ipsecpol { flags dormant; }'
meddle 'add element inet ipsecpol out4_sme_p { 99 comment "mine" : goto require_out }'

# ---- refusals
out=$(inn "$tool" refuse 2>&1)
same "a refused table is an error" 1 $?
has "it names the element" "add element 7 of map m (filter {00000011-0000-0000-0000-000000000000} of rule {00000022-" "$out"
has "and the reason" "No such file or directory" "$out"
check "the kernel still holds what it held" inn "$tool" diff "$T/two"
hasnot "and nothing beside it" ipsecpol_next "$(nft_in list tables)"
out=$(inn setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all "$tool" apply "$T/one" 2>&1)
same "without privilege" 1 $?
has "the error says so" "denied" "$out"

# ---- watching
mkfifo "$T/in"
ip netns exec $n "$tool" watch "$T/one" <"$T/in" >"$T/watch" 2>&1 &
exec 8>"$T/in"
told() { echo "$1" >&8; i=0; while [ "$(grep -c ours "$T/watch")" -lt "$2" ] && [ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done; tail -n 1 "$T/watch"; }
same "our own apply is not news" "not ours" "$(told x 1)"
nft_in add rule inet other c accept
same "nor is a foreign table" "not ours" "$(told x 2)"
nft_in add element inet ipsecpol out4_sme_p '{ 98 : accept }'
same "an element put into our table is" "ours" "$(told x 3)"
nft_in delete table inet ipsecpol
same "as is its removal" "ours" "$(told x 4)"
same "putting it back is our own" "not ours" "$(told "apply $T/one" 5)"
check "it is back" inn "$tool" diff "$T/one"
nft_in flush ruleset
same "a flush of all rules is seen" "ours" "$(told x 6)"
exec 8>&-

# ---- others change their tables all the time
nft_in add table inet other
(while [ -e "$T/in" ]; do nft_in add chain inet other busy; nft_in delete chain inet other busy; done) 2>/dev/null &
busy=$!
bad=0
for i in 1 2 3 4 5 6 7 8 9 10; do apply "$T/one" >/dev/null && apply "$T/two" >/dev/null || bad=$((bad + 1)); done
rm -f "$T/in"
wait $busy
same "twenty applies while another table keeps changing" 0 $bad

# ---- no packet slips through while tables change
ip link add v0 netns $n type veth peer name v0 netns $m
for x in $n $m; do ip -n $x link set v0 up; done
ip -n $n addr add 10.5.0.1/24 dev v0
ip -n $m addr add 10.5.0.2/24 dev v0
ip netns exec $m nft flush ruleset
ip netns exec $m nft add table inet leak
ip netns exec $m nft 'add chain inet leak c { type filter hook prerouting priority -300; policy accept; }'
ip netns exec $m nft add rule inet leak c icmp type echo-request counter
printf '%s\n' 'rule block A' 'filter me any 1 * * mirrored' >"$T/p1"
printf '%s\n' 'lifeline' 'store dynamic' 'rule block B' 'filter any any any * *' 'filter me 10.5.0.0/24 tcp * 80-90' >"$T/p2"
printf '%s\n' 'rule require C' 'filter me 10.5.0.0/24 any * * mirrored' 'rule permit' 'filter me any udp * *' >"$T/p3"
apply "$T/p1" >/dev/null
ip netns exec $n ping -f -w 4 -q 10.5.0.2 >"$T/ping" 2>&1 &
ping=$!
i=0
while kill -0 $ping 2>/dev/null; do apply "$T/p2" "$T/p3" "$T/p1" >/dev/null || break; i=$((i + 3)); done
wait $ping
check "policies changed often enough ($i times)" test $i -gt 30
sent=$(sed -n 's/^\([0-9]*\) packets transmitted.*/\1/p' "$T/ping")
check "packets were sent often enough (${sent:-0})" test "${sent:-0}" -gt 100
has "none of them got out" "counter packets 0 " "$(ip netns exec $m nft list chain inet leak c)"

# From startup to policies and to block mode and back, under floods in both directions: what all
# of them forbid never passes.  (What all of them let through may be lost now and then: the kernel
# looks up elements of the new generation for a packet that is still among the rules of the old.)
ip netns exec $m nft delete table inet leak
for x in $n $m; do
	ip netns exec $x nft add table inet leak
	ip netns exec $x nft 'add chain inet leak c { type filter hook prerouting priority -300; policy accept; }'
	ip netns exec $x nft add rule inet leak c udp dport 9 counter
	ip netns exec $x nft 'add chain inet leak d { type filter hook input priority 100; policy accept; }'
	ip netns exec $x nft add rule inet leak d udp dport 9 counter
done
ip netns exec $n nft add rule inet leak d udp dport 3389 counter
flood() {	# NETNS ADDRESS PORT SECONDS PAUSE
	ip netns exec $1 python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
addr, end, pause, n = (sys.argv[1], int(sys.argv[2])), time.time() + float(sys.argv[3]), float(sys.argv[4]), 0
while time.time() < end:
    try: s.sendto(b"x", addr)
    except PermissionError: pass
    n += 1
    if pause: time.sleep(pause)
print(n)' $2 $3 $4 $5
}
leaked() { ip netns exec $1 nft list chain inet leak $2 | sed -n "s/.*dport $3 counter packets \([0-9]*\) .*/\1/p"; }
printf 'exempt udp 0 3389 in\n' >"$T/mode"
printf 'diagnostics 6\nexempt udp 0 3389 in\n' >"$T/mode2"
printf '%s\n' 'rule permit Answer' 'filter any me udp * 3389' 'rule block A' 'filter me any udp * 9' 'filter any me udp * 9' >"$T/p1"
printf '%s\n' 'diagnostics 6' 'rule block B' 'filter any any any * *' 'rule permit R' 'filter any me udp * 3389 mirrored' >"$T/p2"
printf '%s\n' 'rule require C' 'filter me 10.5.0.0/24 any * * mirrored' 'rule permit R' 'filter any me udp * 3389 mirrored' >"$T/p3"
apply "startup:$T/mode" >/dev/null
flood $n 10.5.0.2 9 6 0 >"$T/out" &
out=$!
flood $m 10.5.0.1 9 6 0 >"$T/into" &
into=$!
i=0
while kill -0 $out 2>/dev/null; do
	apply "$T/p1" "startup:$T/mode2" "$T/p2" "$T/p3" "startup:$T/mode" >/dev/null || break
	i=$((i + 5))
done
wait $out $into
check "modes changed often enough ($i times)" test $i -gt 40
same "of $(cat "$T/out") packets none got out" 0 "$(leaked $m c 9)"
same "of $(leaked $n c 9) packets none got in" 0 "$(leaked $n d 9)"
check "both were many" test "$(cat "$T/out")" -gt 10000 -a "$(leaked $n c 9)" -gt 10000
# Stateful lets this host begin anything: inbound alone.
flood $m 10.5.0.1 9 4 0 >"$T/into" &
into=$!
i=0
while kill -0 $into 2>/dev/null; do
	apply "stateful:$T/mode" "$T/p1" "startup:$T/mode" "stateful:$T/mode2" "$T/p3" >/dev/null || break
	i=$((i + 5))
done
wait $into
check "modes changed often enough ($i times)" test $i -gt 20
same "of $(cat "$T/into") packets none got in under stateful" 0 "$(leaked $n d 9)"
# What all let through; without a flood, whose end of the wire is not that reliable.
flood $m 10.5.0.1 3389 3 0.002 >"$T/allowed" &
allowed=$!
while kill -0 $allowed 2>/dev/null; do apply "stateful:$T/mode" "$T/p1" "startup:$T/mode" "$T/p2" >/dev/null || break; done
passed=$(leaked $n d 3389)
sent=$(cat "$T/allowed")
check "what is allowed passed ($passed of $sent)" test "$passed" -le "$sent" -a "$passed" -ge $((sent - 5 - sent / 100)) -a "$sent" -gt 100
# The same table with other elements, sets and rules in it.
printf '%s\n' 'rule block B' 'filter me any udp * 9' 'rule permit R' 'filter me any any * *' >"$T/q1"
printf '%s\n' 'rule block B' 'filter me 10.5.0.2/32 udp * 9' 'rule permit R' 'filter me any any * *' >"$T/q2"
printf '%s\n' 'rule permit R' 'filter me any any * *' 'rule block B' 'filter #3 me 10.5.0.0/24 any * *' >"$T/q3"
apply "$T/q1" >/dev/null
flood $n 10.5.0.2 9 4 0 >"$T/out" &
out=$!
i=0
while kill -0 $out 2>/dev/null; do apply "$T/q2" "$T/q3" "$T/q1" >"$T/applied" || break; i=$((i + 3)); done
wait $out
has "changes within the table ($i times)" "created 0" "$(cat "$T/applied")"
same "of $(cat "$T/out") packets none got out" 0 "$(leaked $m c 9)"
# Random pairs of policies that differ in elements alone: what both forbid never passes, whichever of them has it in a less
# specific map, by another verdict or under another name.
flows="10.5.0.2 10.5.0.3"
ports="9 10"
ip -n $m addr add 10.5.0.3/24 dev v0
ip netns exec $m nft delete table inet leak
ip netns exec $m nft add table inet leak
ip netns exec $m nft 'add chain inet leak c { type filter hook prerouting priority -300; policy accept; }'
for d in $flows; do for p in $ports; do ip netns exec $m nft add rule inet leak c ip daddr $d udp dport $p counter; done; done
# pair SEED: $T/ra and $T/rb, of the same shapes and actions, with up to six filters that differ
pair() { awk -v seed=$1 -v a="$T/ra" -v b="$T/rb" 'BEGIN {
	srand(seed)
	n = split("me 10.5.0.%d/32 udp * %d|me 10.5.0.%d/32 any * *|me 10.5.%d.0/24 udp * %d|me 10.5.%d.0/24 any * *|me 10.%d.0.0/16 any * *", shape, "|")
	split("block block require permit", kind, " ")
	for (i = 1; i <= 8; i++) { f[i] = g[i] = make(n); k[i] = l[i] = 1 + int(rand() * 4) }
	for (i = 1; i <= 1 + int(rand() * 6); i++) { g[i] = rand() < 0.3 ? g[i] : make(n); l[i] = 1 + int(rand() * 4) }
	print_policy(a, f, k, "Name")
	print_policy(b, g, l, rand() < 0.2 ? "Other" : "Name")
}
function make(n,  s) { s = 1 + int(rand() * n); return sprintf(shape[s], s < 3 ? 2 + int(rand() * 2) : s < 5 ? 0 : 5, 9 + int(rand() * 2)) }
function print_policy(file, f, k, name,  i, s, j) {
	for (j = 1; j <= 4; j++) {
		print "rule " kind[j] " " name >file
		for (s = 1; s <= n; s++) printf "filter #%d " shape[s] "\n", 100 * j + s, 200 + j, 9 >file
		for (i = 1; i <= 8; i++) if (k[i] == j) print "filter #" i " " f[i] >file
	}
}'; }
forbidden() { for d in $flows; do "$tool" judge "$1" 10.5.0.1 $d $ports | sed -n "s/\(.*\) drop/$d \1/p"; done; }
ip netns exec $n python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
to = [(d, int(p)) for d in sys.argv[1].split() for p in sys.argv[2].split()]
while True:
    for a in to:
        try: s.sendto(b"x", a)
        except PermissionError: pass' "$flows" "$ports" &
flood=$!
seed=1 watched=0 leaks="" whole=0
while [ $seed -le 40 ]; do
	pair $seed
	apply "$T/ra" >/dev/null
	ip netns exec $m nft reset counters >/dev/null 2>&1
	before=$(ip netns exec $m nft list chain inet leak c)
	inn "$tool" flip "$T/ra" "$T/rb" 12 >"$T/flipped" 2>&1 || bad "policies of seed $seed"
	apply "$T/rb" >/dev/null
	grep -q "created 1" "$T/flipped" && whole=$((whole + 1))
	forbidden "$T/ra" | sort >"$T/fa"
	forbidden "$T/rb" | sort >"$T/fb"
	after=$(ip netns exec $m nft list chain inet leak c)
	comm -12 "$T/fa" "$T/fb" >"$T/both"
	while read -r d p; do
		watched=$((watched + 1))
		[ "$(echo "$before" | grep "daddr $d udp dport $p ")" = "$(echo "$after" | grep "daddr $d udp dport $p ")" ] || leaks="$leaks $seed:$d:$p"
	done <"$T/both"
	seed=$((seed + 1))
done
kill $flood
wait $flood 2>/dev/null
same "random pairs of policies: of $watched flows that both forbid none leaked" "" "$leaks"
check "they were enough ($watched)" test $watched -gt 60
same "none replaced the table" 0 $whole
apply "$T/q1" >/dev/null
hasnot "nothing is left beside it" ipsecpol_next "$(nft_in list tables)"
# A guard that a killed process left.
nft_in 'add table inet ipsecpol_next'
nft_in 'add chain inet ipsecpol_next c { type filter hook input priority 0; policy drop; }'
same "a guard that was left does not count" "changes 0 bytes 0 created 0" "$(apply "$T/q1")"
hasnot "and is removed" ipsecpol_next "$(nft_in list tables)"
nft_in 'add table inet ipsecpol_next'
nft_in 'add chain inet ipsecpol_next input { type filter hook forward priority 5; policy drop; }'
check "nor is it in the way of a new one" apply "$T/q2"
hasnot "which goes as well" ipsecpol_next "$(nft_in list tables)"
nft_in 'add table inet ipsecpol_next'
inn "$tool" remove >/dev/null
hasnot "without a table there is none either" ipsecpol "$(nft_in list tables inet)"
apply "$T/one" >/dev/null

# ---- logged drops
printf '%s\n' 'diagnostics 6' 'rule block No ping' 'filter me any 1 * * mirrored' 'rule require Web' \
	'filter any me tcp * 80' 'filter me 10.5.0.2/32 udp * 53' >"$T/loud"
apply "$T/loud" >/dev/null
ip netns exec $n "$tool" log "$T/loud" 4 >"$T/logged" 2>&1 &
log=$!
i=0
until grep -q ready "$T/logged" || [ $i = 30 ]; do i=$((i + 1)); sleep 0.1; done
out=$(inn "$tool" log "$T/loud" 1 2>&1)
has "a group has one listener" "busy: cannot listen to NFLOG group 4500: another process does" "$out"
out=$(inn setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all "$tool" log "$T/loud" 1 2>&1)
has "which needs privilege" "denied: cannot listen to NFLOG group 4500" "$out"
ip netns exec $m ping -c 1 -W 1 -q 10.5.0.1 >/dev/null
ip netns exec $n ping -c 1 -W 1 -q 10.5.0.2 >/dev/null 2>&1
ip netns exec $m python3 -c 'import socket; s = socket.socket(); s.settimeout(0.2); s.connect(("10.5.0.1", 80))' 2>/dev/null
ip netns exec $n python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"x" * 500, ("10.5.0.2", 53))' 2>/dev/null
ip netns exec $m ping -f -c 2000 -W 1 -q 10.5.0.1 >/dev/null
wait $log
logged=$(cat "$T/logged")
has "a drop inbound is logged, and its filter found" "ipsecpol in block | hook 1 family 2 iif 1 oif 0 10.5.0.2 > 10.5.0.1 proto 1 0 > 0 84 bytes time 1 | drop f:00000001 r:10000000 g:aaaaaaaa No ping" "$logged"
has "a drop outbound is logged" "ipsecpol out block | hook 4 family 2 iif 0 oif 1 10.5.0.1 > 10.5.0.2 proto 1 " "$logged"
has "clear packets are logged" "ipsecpol in clear | hook 1 family 2 iif 1 oif 0 10.5.0.2 > 10.5.0.1 proto 6 " "$logged"
has "with their ports" " > 80 60 bytes time 1 | drop f:00000002 r:20000000 g:aaaaaaaa Web" "$logged"
has "no more of a packet than its beginning" "> 53 128 bytes time 0 | drop f:00000003 r:20000000 g:aaaaaaaa Web" "$logged"
has "none was lost" "lost 0" "$logged"
i=$(grep -c "in block" "$T/logged")
check "and there is a limit ($i)" test $i -ge 50 -a $i -lt 400
hasnot "while all are dropped and counted" 'counter packets 0 ' "$(inn nft list chain inet ipsecpol block_in)"
apply "$T/one" >/dev/null

# ---- 100,000 filters
"$tool" big 100000 >"$T/big"
{ cat "$T/big"; echo 'filter me 10.66.66.66/32 tcp * 66'; } >"$T/big1"
t0=$(date +%s%3N)
out=$(apply "$T/big")
t1=$(date +%s%3N)
has "100,000 filters are accepted ($((t1 - t0)) ms, $out)" "changes 100" "$out"
check "in reasonable time" test $((t1 - t0)) -lt 20000
same "and unchanged nothing is sent" "changes 0 bytes 0 created 0" "$(apply "$T/big")"
out=$(apply "$T/big1")
set -- $out
# One add; and where the shape has two maps, one moves from the first to the second.
check "one more filter sends little ($out)" test "$2" -le 3 -a "$4" -lt 1000
out=$(apply "$T/one")
has "and they can be taken back" "created 0" "$out"
check "to the table before" inn "$tool" diff "$T/one"

finish
