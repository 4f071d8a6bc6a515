#!/bin/sh
# The dynamic context with the daemon: rules in the kernel at once, or refused; settings.
set -u
. "${srcdir:?}/tests/lib/daemon.sh"

dyn() { cli dynamic "$@"; }
# count WHAT-KEY: of `dynamic show WHAT --json`
count() { cli --json dynamic show "$1" | python3 -c 'import json, sys
print(len(json.load(sys.stdin)[sys.argv[1]]))' "$2"; }
counts() { n=$(count "$1" "$2"); [ "$n" = "$3" ] || { echo "$2: $n, not $3"; return 1; }; }
# rule LINE: the table has it
rule() { table >"$t/table"; grep -qE -- "$1" "$t/table" || { cat "$t/table"; echo "nothing like: $1"; return 1; }; }

conf WEB1
# No policy of the domain at first.
python3 -c 'import re, sys
s = open(sys.argv[1]).read().replace("\n ", "")
open(sys.argv[1], "w").write(re.sub("\ngPLink:[^\n]*", "", s, flags=re.I))' "$t/corp.ldif"
check "starts" start
check "without a policy of the domain" cli refresh

# ---- nothing yet ----
for w in mmpolicy qmpolicy rule mmfilter qmfilter; do
	check "show $w without any" dyn show $w
	check "says so" has "There is no" "$t/out"
	check "show $w --json" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf --json dynamic show $w | python3 -m json.tool"
done
for w in mmsas qmsas stats; do
	check_not "show $w without charon fails" dyn show $w
	check "is honest" has "charon does not answer at .*blocked" "$t/out"
done
check "show stats type=ipsec" dyn show stats type=ipsec
check "show all" dyn show all
check "is honest, too" has "charon does not answer" "$t/out"
check "show all --json is one object" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf --json dynamic show all | python3 -c 'import json, sys; assert len(json.load(sys.stdin)) == 9'"
check "no table yet" no_table

# ---- a rule is in the kernel when the command returns ----
check "block telnet" dyn add rule srcaddr=any dstaddr=me protocol=TCP dstport=23 actioninbound=block actionoutbound=block
check "it is in the kernel" rule 'tcp . 23.*any to me tcp .*drop'
check "mode secure" is mode secure
check "show rule" dyn show rule
check "with the port" has "Destination Port *: 23" "$t/out"
check "one rule" counts rule rules 1
check_not "twice is refused" dyn add rule srcaddr=any dstaddr=me protocol=TCP dstport=23 actioninbound=permit actionoutbound=permit
check "and says why" has "there is a rule any to me tcp \*:23 mirrored already" "$t/out"
save_table "$t/one"

# ---- different actions in and out ----
check "permit in, block out" dyn add rule me 10.9.0.0 srcport=0 actioninbound=permit actionoutbound=block dstmask=255.255.0.0
check "inbound passes" rule '10\.9\.0\.0 [^,]*: accept'
check "outbound is dropped" rule '10\.9\.0\.0 [^,]*: drop'
check "changed to block" dyn set rule srcaddr=me dstaddr=10.9.0.0 dstmask=16 actioninbound=block
check_not "inbound does not pass any more" rule '10\.9\.0\.0 [^,]*: accept'
check "deleted" dyn delete rule srcaddr=me dstaddr=10.9.0.0 dstmask=16
check "the table is as before" table_is "$t/one"

# ---- refused: nothing changes ----
for r in "srcaddr=me dstaddr=10.0.0.1" \
	"srcaddr=me dstaddr=10.0.0.1 mmpolicy=none qmpolicy=none" \
	"srcaddr=me dstaddr=me actioninbound=block actionoutbound=block" \
	"srcaddr=me dstaddr=10.0.0.1 protocol=ICMP dstport=5 actioninbound=block actionoutbound=block" \
	"srcaddr=me dstaddr=10.0.0.1 srcmask=33 actioninbound=block actionoutbound=block" \
	"srcaddr=me dstaddr=no.such.host.invalid actioninbound=block actionoutbound=block" \
	"srcaddr=me dstaddr=10.0.0.1 actioninbound=deny actionoutbound=block"; do
	check_not "refused: $r" dyn add rule $r
done
check_not "delete what is not there" dyn delete rule srcaddr=me dstaddr=10.0.0.1
check_not "delete a policy that is not there" dyn delete mmpolicy name=none
check "the table is as before" table_is "$t/one"
check "one rule still" counts rule rules 1

# ---- names ----
# In a mount namespace, because of its own hosts file.
printf '127.0.0.1 localhost\n10.5.0.1 two.example\n10.5.0.2 two.example\nfd00::5 two.example\n' >"$t/hosts"
check "a name with three addresses" unshare -m sh -c "mount --bind '$t/hosts' /etc/hosts && ip netns exec $ns '$builddir/ipsecpol' --config '$t/conf' \
	dynamic add rule srcaddr=me dstaddr=two.example actioninbound=block actionoutbound=block"
check "makes three rules" counts rule rules 4
check "in both families" rule 'fd00::5 .*: drop'
for a in 10.5.0.1 10.5.0.2 fd00::5; do
	check "delete $a" dyn delete rule srcaddr=me dstaddr=$a
done
check "the table is as before" table_is "$t/one"

# ---- policies ----
check "add mmpolicy" dyn add mmpolicy name='Main mode' mmlifetime=60 mmsecmethods=3DES-SHA1-3
check "add qmpolicy" dyn add qmpolicy name=quick soft=yes pfsgroup=GRP2 'qmsecmethods=ESP[3DES,SHA1]:1000k/900s'
check "add rule with them" dyn add rule srcaddr=me dstaddr=10.7.0.1 'mmpolicy=main mode' qmpolicy=QUICK 'psk=a "secret" key'
check "it negotiates" rule '10\.7\.0\.1 [^,]*: goto request_'
check_not "the policy is in use" dyn delete mmpolicy name='Main mode'
check "and says by which rule" has "is used by the rule me to 10.7.0.1/32" "$t/out"
for s in rule mmpolicy qmpolicy mmfilter qmfilter all; do
	dyn show $s >>"$t/shown"; cli --json dynamic show $s >>"$t/shown"; dyn show $s type=specific >>"$t/shown" 2>&1
done
check "show mmpolicy" dyn show mmpolicy
check "with its offer" has "3DES-SHA1-3" "$t/out"
check "show qmpolicy" dyn show qmpolicy name=quick
check "with its offer" has "ESP\[3DES,SHA1\]:1000k/900s" "$t/out"
check "show mmfilter" dyn show mmfilter
check "with peer, offer and method" has "me > 10.7.0.1, 3DES-SHA1-3, 3600 s, psk" "$t/out"
check_not "the key is shown nowhere" grep -q secret "$t/shown" "$t/log"
check "soft off" dyn set qmpolicy name=quick soft=no
check "means require" rule '10\.7\.0\.1 [^,]*: goto require_'

# ---- filters in effect ----
install -m 644 "$srcdir/examples/corp.ldif" "$t/corp.ldif"
check "with a domain policy, too" cli refresh
check "generic filters of both stores" dyn show qmfilter
check "the domain's" has "domain, policy" "$t/out"
check "with GPO" has "GPO 'IPsec web servers'" "$t/out"
check "and the dynamic ones" has "dynamic, policy" "$t/out"
check "specific filters" dyn show qmfilter all type=specific
check "have a weight" has "weight [0-9]+" "$t/out"
check "by address" dyn show qmfilter srcaddr=me dstaddr=10.7.0.1
[ "$(grep -c '>' "$t/out")" = 1 ] && ok "only that one" || fail "only that one"
check "by action" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf --json dynamic show qmfilter actioninbound=block type=specific |
	python3 -c 'import json, sys
for f in json.load(sys.stdin)[\"filters\"]: assert f[\"action\"] == \"block\" and f[\"direction\"] == \"inbound\", f'"
check "by name of the policy" dyn show qmfilter name="dynamic rules"
check_not "no other" has "domain," "$t/out"

# ---- only root ----
for m in add\ rule\ me\ 10.0.0.1\ actioni=block\ actiono=block show\ rule show\ qmfilter show\ drops delete\ all; do
	check_not "not for others: $m" in_ns setpriv --reuid=65534 --regid=65534 --clear-groups "$builddir/ipsecpol" --config "$t/conf" dynamic $m
done

# ---- settings stay, rules go ----
check "show config" dyn show config
check "with the defaults" has "bootmode *: auto" "$t/out"
check "set bootmode" dyn set config property=bootmode value=block
check "says when" has "from the next start of the computer" "$t/out"
check "set ipsecexempt" dyn set config property=ipsecexempt value=0
check "says now" has "ipsecexempt = 0 \(now\)" "$t/out"
check "and it is so: Kerberos passes" rule 'dport 88|88.*Kerberos|Kerberos'
check "boot exemptions" dyn set config property=bootexemptions value='tcp:0:3389:inbound udp:0:53:outbound'
for v in "bootmode nonsense" "ipsecexempt 4" "ipsecdiagnostics 8" "ipsecloginterval 59" "strongcrlcheck 3" "bootexemptions tcp:1:inbound" "nonsense 1"; do
	check_not "refused: $v" dyn set config property=${v% *} value=${v#* }
done
check_not "until goes with diagnostics alone" dyn set config property=ipsecexempt value=0 until=30min
check "show config --json" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf --json dynamic show config | python3 -c 'import json, sys
j = json.load(sys.stdin)
assert j[\"running\"] and j[\"stored\"] == j[\"in_force\"] and j[\"stored\"][\"ipsecexempt\"] == \"0\", j'"
check "set back" dyn set config property=ipsecexempt value=default
stop TERM
check_not "rules need the daemon" dyn add rule srcaddr=any dstaddr=me protocol=UDP actioninbound=block actionoutbound=block
check "says that it does not run" has "not running" "$t/out"
check "settings do not" dyn set config property=ipsecloginterval value=60
check "and say so" has "when the service starts" "$t/out"
check "started again" start
check "no rule is left" counts rule rules 0
check "nor in the kernel" sh -c "! ip netns exec $ns nft list table inet ipsecpol | grep -q 'any to me tcp'"
check "the settings are" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf dynamic show config | grep -qE 'ipsecloginterval *: 60'"

# ---- what the kernel refuses, or what cannot be rendered, leaves no trace ----
dyn delete all; dyn add rule srcaddr=any dstaddr=me protocol=TCP dstport=23 actioninbound=block actionoutbound=block
save_table "$t/one"
check "delete all" dyn delete all
check "nothing dynamic is left" counts rule rules 0
check_not "in the kernel either" table_is "$t/one"

# ---- many ----
i=0; while [ $i -lt 400 ]; do echo "dynamic add rule srcaddr=me dstaddr=10.8.$((i / 200)).$((i % 200)) actioninbound=block actionoutbound=block"; i=$((i + 1)); done >"$t/script"
check "a script of 400 rules" cli exec "$t/script"
check "400 rules" counts rule rules 400
check "400 filters and those of the domain" sh -c "[ \$(ip netns exec $ns $builddir/ipsecpol --config $t/conf --json dynamic show qmfilter | python3 -c 'import json, sys
print(sum(f[\"store\"] == \"dynamic\" for f in json.load(sys.stdin)[\"filters\"]))') = 400 ]"

summary
