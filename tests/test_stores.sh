#!/bin/sh
# Persistent, local, domain, cached and dynamic policy together: which is in force when, and what
# each filter says of where it comes from.
set -u
. "${srcdir:?}/tests/lib/daemon.sh"

static() { cli static "$@"; }
persistent() { cli --store persistent static "$@"; }
# No GPO has our extension any more, so nothing is assigned: a complete answer.
nothing_assigned() { python3 - "$t/corp.ldif" <<'PY'
import re, sys
s = open(sys.argv[1]).read().replace("\n ", "")
open(sys.argv[1], "w").write(re.sub("E437BC1C-AA7D", "E437BC1C-0000", s, flags=re.I))
PY
}
assigned() { install -m 644 "$srcdir/examples/corp.ldif" "$t/corp.ldif"; }
policy_of_store() {	# STORE NAME PORT: a policy that blocks one UDP port, in a store
	cli --store "$1" static add policy name="$2" activatedefaultrule=no &&
	cli --store "$1" static add filter filterlist="$2 list" srcaddr=any dstaddr=me protocol=UDP mirrored=no dstport="$3" &&
	cli --store "$1" static add filteraction name="$2 action" action=block &&
	cli --store "$1" static add rule name="$2 rule" policy="$2" filterlist="$2 list" filteraction="$2 action"
}
in_table() { in_ns nft list table inet ipsecpol 2>/dev/null | grep -q -- "$1"; }
stores() { cli status --json | python3 -c 'import json, sys; print(" ".join(s["store"] for s in json.load(sys.stdin)["enforced"]["stores"]))'; }
stores_are() { v=$(stores); [ "$v" = "$1" ] || { echo "stores are '$v', not '$1'"; cli status; return 1; }; }

# ---- local, while the domain says nothing ----
conf WEB1; nothing_assigned
check "a local policy without the service" policy_of_store local loc 4101
check "starts" start
check "stored and not assigned is not in force" no_table
check "assigned: at once" static set policy name=loc assign=yes
check "in the table, with its store" in_table 's:local loc rule'
check "source local" is source local
check "status says why" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf status | grep -i 'because:.*local'"
check "refresh finds nothing assigned" cli refresh
check "the local policy stays" is source local
check "an edit of it is in force at once" static add filter filterlist="loc list" srcaddr=any dstaddr=me protocol=UDP mirrored=no dstport=4102
check "the new filter is there" in_table '4102'
check "show policy shows the local one" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf show policy | grep 'loc rule'"
check_not "an assigned policy is not deleted" static delete policy name=loc
check "and it is said" has "assigned" "$t/out"
stop
check "after a restart" start
check "the local policy again, before the directory answers" in_table 's:local loc rule'
check "source local" is source local

# ---- the domain takes over ----
assigned
check "the domain assigns one" cli refresh
check "source domain" is source domain
check_not "the local policy is not in force" in_table s:local
check "stores" stores_are domain
nothing_assigned
check "and takes it back" cli refresh
check "the local policy is there again" in_table 's:local loc rule'
assigned; cli refresh >/dev/null
mv "$t/corp.ldif" "$t/gone"
check_not "the directory is gone" cli refresh
check "the cached domain policy stays, not the local one" stores_are domain
mv "$t/gone" "$t/corp.ldif"; cli refresh >/dev/null

# ---- persistent: at the next start ----
check "a persistent policy" policy_of_store persistent base 4103
check "assigned" persistent set policy name=base assign=yes
check "which says when it counts" has "next start" "$t/out"
check_not "not in force yet" in_table s:persistent
stop; start
check "in force after a restart" in_table 's:persistent base rule'
check "added to the domain's" stores_are "persistent domain"
check "unassigned: until the next start" persistent set policy name=base assign=no
check "still in force" in_table s:persistent
stop; start
check_not "gone after the next" in_table s:persistent
persistent set policy name=base assign=yes >/dev/null; stop; start

# ---- dynamic: at once, in memory only ----
check "a dynamic rule" cli dynamic add rule srcaddr=any dstaddr=me protocol=UDP srcport=0 dstport=4104 mirrored=no actioninbound=block actionoutbound=block
check "in the table" in_table s:dynamic
check "over all others" stores_are "dynamic persistent domain"
check "the filters in effect name store and rule" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf dynamic show qmfilter name=all | grep -i dynamic"
check "as JSON" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf --json dynamic show qmfilter name=all | python3 -c 'import json,sys; d=json.load(sys.stdin); s={f[\"store\"] for f in d[\"filters\"]}; sys.exit(s != {\"dynamic\",\"persistent\",\"domain\"} and str(s))'"
check "a refresh keeps it" cli refresh
check "still there" in_table s:dynamic
kill -9 $daemon; wait $daemon 2>/dev/null; start
check_not "gone with the service, a crash included" in_table s:dynamic
check "the others are there" stores_are "persistent domain"

# ---- an exact tie: dynamic over persistent over domain and local ----
assigned; nothing_assigned; cli refresh >/dev/null
check "the same filter, permitted, in the persistent store" persistent add filteraction name=allow action=permit
check "rule" persistent add rule name=p2 policy=base filterlist="base list" filteraction=allow
stop; start
check "one store: block wins over permit" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep '4103' | grep -q drop"
check "a dynamic permit of the same filter" cli dynamic add rule srcaddr=any dstaddr=me protocol=UDP srcport=0 dstport=4103 mirrored=no actioninbound=permit actionoutbound=permit
check "wins over the persistent block" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep '4103' | grep -q accept"
check "and is taken back" cli dynamic delete all
check "then the block is back" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep '4103' | grep -q drop"

# With nothing else stored, cached or known: a stop by TERM leaves the rules, a start removes them.
stop; mv "$t/state" "$t/state.kept"; mkdir -m 700 "$t/state"; mv "$t/corp.ldif" "$t/gone"
in_ns nft delete table inet ipsecpol; start
cli dynamic add rule srcaddr=any dstaddr=me protocol=UDP srcport=0 dstport=4104 mirrored=no actioninbound=block actionoutbound=block >/dev/null
check "dynamic rules alone" stores_are dynamic
stop; start
check "are gone after a restart" no_table
check "and the mode is permit" is mode permit
stop; rm -rf "$t/state"; mv "$t/state.kept" "$t/state"; mv "$t/gone" "$t/corp.ldif"; start; cli refresh >/dev/null

# ---- settings ----
check "ipsecexempt" cli dynamic set config property=ipsecexempt value=0
check "in force" is exemptions.ipsecexempt 0
check "Kerberos is exempt" in_table '"Kerberos"'
stop; start
check "settings stay" is exemptions.ipsecexempt 0
check "default" cli dynamic set config property=ipsecexempt value=default
check "is the configuration's" is exemptions.ipsecexempt 3
for bad in "property=ipsecexempt value=4" "property=bootmode value=open" "property=nothing value=1" "property=bootexemptions value=tcp:1" "property=ipsecloginterval value=1" "property=strongcrlcheck value=3" "property=ikelogging value=x" "property=ipsecdiagnostics value=8"; do
	check_not "bad: $bad" cli dynamic set config $bad
	[ "$(wc -l <"$t/out")" = 1 ] && ok "one line" || { fail "one line for $bad"; cat "$t/out"; }
done

# ---- what cannot be put in force ----
save_table "$t/before"
check "a rule nobody can render" static add filteraction name=neg action=negotiate
check "is stored" static add rule name=tun policy=loc filterlist="loc list" filteraction=neg tunnel=10.1.2.3
check "the service says what it made of it" cli status
stop; start
check "starts" is mode secure

# ---- damage ----
stop
cp "$t/state/registry.db" "$t/registry.good"
for at in 0.1 0.3 0.5 0.7 0.9; do
	cp "$t/registry.good" "$t/state/registry.db"
	python3 - "$t/state/registry.db" $at <<'PY'
import sys
p = sys.argv[1]; b = bytearray(open(p, "rb").read())
i = int(len(b) * float(sys.argv[2])); b[i:i + 64] = bytes(x ^ 0xff for x in b[i:i + 64])
open(p, "wb").write(b)
PY
	check "a damaged registry at $at: starts" start
	check "mode secure, from the boot image or the intact part" is mode secure
	check "with the persistent policy" in_table s:persistent
	stop
done
rm "$t/state/registry.db"
check "a registry that is gone: starts" start
check "the boot image remembers it" in_table s:persistent
check "and an event says so" has "registry" "$t/log"
check "status too" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf status | grep 'PROBLEM.*registry.db'"
# An edit must not make the image forget the only copy.
check_not "an edit of a lost registry is refused" cli dynamic set config property=ipsecloginterval value=120
check "and says what to do" has "reg restore" "$t/out"
check "still in force" in_table s:persistent
check "restore" cli reg restore
check "names what it restored" has "persistent policy 'base'" "$t/out"
check_not "a second time there is nothing to restore" cli reg restore
stop; start
check "the persistent policy is there after it" in_table s:persistent
check_not "and no problem is left" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf status | grep PROBLEM"
check "edits work again" cli dynamic set config property=ipsecloginterval value=120
stop

# The cache lost, the image not: the domain's policy is still known.
assigned; start; cli refresh >/dev/null
check "a domain policy" stores_are "persistent domain"
stop; mv "$t/corp.ldif" "$t/gone"
rm "$t/state/store.db"; in_ns nft delete table inet ipsecpol; start
check "without store.db: from the boot image" stores_are "persistent domain"
stop
rm "$t/state/store.db"; printf x | dd of="$t/state/boot.image" bs=1 seek=30 conv=notrunc 2>/dev/null
in_ns nft delete table inet ipsecpol; start
check "neither can be believed: block" is mode block
mv "$t/gone" "$t/corp.ldif"
check "until the directory answers" cli refresh
check "secure again" stores_are "persistent domain"
stop

# A state folder that cannot be written: what is known is enforced all the same.
in_ns nft delete table inet ipsecpol
in_ns sh -c "mount --bind $t/state $t/state && mount -o remount,ro,bind $t/state && exec $builddir/ipsecpold --config $t/conf" 2>"$t/log"
check "read-only state: the service ends" has "Read-only" "$t/log"
check "but the policies are in force" in_table s:persistent

# The startup mode is put back, too, and a table of an earlier block mode is no policy.
in_ns nft delete table inet ipsecpol 2>/dev/null
mv "$t/state" "$t/state.kept"; mkdir -m 700 "$t/state"; mv "$t/corp.ldif" "$t/gone"
cli dynamic set config property=bootmode value=stateful >/dev/null
in_ns "$builddir/ipsecpold" --config "$t/conf" --boot 2>/dev/null
cli dynamic set config property=bootmode value=auto >/dev/null
start
check "nothing known: the startup mode stays" is mode startup
in_ns nft flush ruleset; sleep 0.5
check "and is put back when somebody removes it" in_table 'boot mode: stateful'
stop
in_ns nft flush ruleset
in_ns nft 'table inet ipsecpol { comment "block mode: test"; chain input { type filter hook input priority -10; drop; }; }'
start
check "a table of an earlier block mode goes when nothing is in force" no_table
stop; rm -rf "$t/state"; mv "$t/state.kept" "$t/state"; mv "$t/gone" "$t/corp.ldif"
summary
