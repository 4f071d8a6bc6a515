#!/bin/sh
# The daemon as a member of a real Samba AD domain: Kerberos with the machine's key through
# the unprivileged worker, the policy in the kernel, the DC that goes and comes back, and a
# policy that blocks everything but must not lock out its own removal.
. "${srcdir:?}/tests/lib/alone.sh"
. "$srcdir/tests/lib/check.sh"
. "$srcdir/tests/lib/slapd.sh"
. "$srcdir/tests/lib/samba.sh"
mount -t tmpfs -o mode=755 none /run
T=$(mktemp -d /tmp/ipsecpol-domain.XXXXXX) && chmod 755 "$T" || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM HUP
install -m 755 "$builddir/ipsecpol-worker" "$T/"
D=$T/domain
mkdir -m 711 "$D"
check "a domain is provisioned or unpacked" samba_init "$D"
samba_net 10.77.0.50
samba_client "$D"
samba_start "$D" || { echo "0 passed, 1 failed"; exit 1; }
check "keytab" samba_keytab "$D" "$T/host.keytab"
chmod 600 "$T/host.keytab"
mkdir -m 700 "$T/state"; mkdir "$T/run"
cat >"$T/conf" <<EOF
[directory]
uri = ldap:///
domain = corp.example
computer = HOST1
keytab = $T/host.keytab
connect-timeout = 2
timeout = 5
[daemon]
state-dir = $T/state
run-dir = $T/run
worker = $T/ipsecpol-worker
worker-user = nobody
EOF
chmod 644 "$T/conf"
cli() { "$builddir/ipsecpol" --config "$T/conf" "$@"; }
fails() { ! "$@"; }
field() { cli status --json | python3 -c '
import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1].split("."): v = v[k]
print("" if v is None else v)' "$1"; }
table() { nft list table inet ipsecpol 2>&1 | sed 's/packets [0-9]* bytes [0-9]*/packets N bytes N/' | sort >"$1"; }
same_table() { table "$T/now"; cmp "$T/now" "$1"; }
start() {
	"$builddir/ipsecpold" --config "$T/conf" 2>>"$T/log" &
	daemon=$!
	for i in $(seq 100); do cli status >/dev/null 2>&1 && return; sleep 0.05; done
	cat "$T/log"; return 1
}
stop() { kill $daemon; wait $daemon 2>/dev/null; }
wait_for() { for i in $(seq 100); do [ "$(field "$1")" = "$2" ] && return; sleep 0.1; done; cli status; return 1; }
# as a DC's own administrator would, on its database
sam() { ldb=$1; shift; "ldb$ldb" -H "$D/dc/private/sam.ldb" "$@"; }

check "starts" start
check "refresh" cli refresh
same "policy of the enforced GPO" "'Server (Request Security)' {72385230-70fa-11d1-864c-14a300000000}" "$(field enforced.policy)"
same "server" ldap://dc1.corp.example "$(field refresh.server)"
table "$T/request"
has "the DC is in the lifeline" "10.77.0.1 . tcp . 389" "$(cat "$T/request")"
has "clear answers to clear requests: request" "chain request" "$(cat "$T/request")"
hasnot "nothing of the keytab or the key in the log" "M4chine" "$(cat "$T/log")"

# ---- what has not changed is not read again ----
check "refresh again" cli refresh
check "refresh once more" cli refresh
same "no policy object is read" 0 "$(field refresh.objects_read)"
kept=$(field refresh.objects_kept)
[ "$kept" -gt 5 ] && ok "they are in memory: $kept" || bad "they are in memory" "$kept"
kill -HUP $daemon
wait_for refresh.objects_kept 0 && ok "SIGHUP: all are read" || bad "SIGHUP: all are read"
check "refresh" cli refresh
same "... and then none" 0 "$(field refresh.objects_read)"

# ---- the DC goes and comes back ----
samba_stop "$D"
check "DC stopped: refresh fails" fails cli refresh
same "cached" "cache offline" "$(field source) $(field refresh.result)"
check "the rules stay" same_table "$T/request"
stop; nft delete table inet ipsecpol
check "starts without a DC" start
check "the cached policy is enforced" same_table "$T/request"
wait_for failures 1 >/dev/null
sleep 10	# a network change refreshes at most every 10 s
samba_start "$D"
ip addr add 10.77.0.51/24 dev eth0
check "DC back, network changed: refreshed without being asked" wait_for source domain
has "one event for each" "directory-lost" "$(grep -c 'cannot be asked' "$T/log") directory-lost"
has "directory back" "answers again" "$(cat "$T/log")"
ip addr del 10.77.0.51/24 dev eth0

# ---- a policy that blocks everything ----
cat >"$T/block.policy" <<'EOF'
ipsecpol policy 1
policy {b10cb10c-0000-4000-8000-000000000001}
	dn ""
	name "Block everything"
	polling 10800
main-mode {b10cb10c-0000-4000-8000-000000000002}
	instance {b10cb10c-0000-4000-8000-000000000003}
	master-pfs no
	map-account no
	exclude-ca no
	quick-modes 0
	lifetime 28800
	offer 3des sha1 group 2 lifetime 28800 kbytes 0 quick-modes 0
filter-list {b10cb10c-0000-4000-8000-000000000004}
	name "All IP traffic"
	filter {b10cb10c-0000-4000-8000-000000000005} me -> any protocol any mirrored
action {b10cb10c-0000-4000-8000-000000000006}
	name "Block"
	kind block
	inpass no
	soft no
	pfs no
	default-response no
rule {b10cb10c-0000-4000-8000-000000000007}
	name "Block"
	active yes
	connections all
	tunnel none
	auth kerberos
	filter-list {b10cb10c-0000-4000-8000-000000000004} "All IP traffic"
	action {b10cb10c-0000-4000-8000-000000000006} "Block"
end
EOF
ipsec="CN=IP Security,CN=System,DC=corp,DC=example"
"$builddir/tests/policy_ldif" "$T/block.policy" "$ipsec" >"$T/block.ldif" || bad "block policy"
# References name objects that must exist: those that are referred to first, back references after.
python3 - "$T/block.ldif" <<'P'
import re, sys
s = open(sys.argv[1]).read().replace('\n ', '')
records = [r for r in s.strip().split('\n\n')]
refs, order = [], {'ipsecfilter': 0, 'ipsecnegotiationpolicy': 1, 'ipsecisakmppolicy': 2, 'ipsecnfa': 3, 'ipsecpolicy': 4}
records.sort(key=lambda r: order[re.match(r'dn: CN=([a-z]+)', r, re.I).group(1).lower()])
out = []
for r in records:
    dn = r.split('\n')[0]
    back = [l for l in r.split('\n') if l.lower().startswith('ipsecownersreference:')]
    out.append('\n'.join(l for l in r.split('\n') if l not in back))
    if back:
        refs.append(dn + '\nchangetype: modify\nadd: ipsecOwnersReference\n' + '\n'.join(back))
open(sys.argv[1], 'w').write('\n\n'.join(out) + '\n')
open(sys.argv[1] + '.refs', 'w').write('\n\n'.join(refs) + '\n')
P
check "a new policy is added" sam add "$T/block.ldif"
check "with its references" sam modify "$T/block.ldif.refs"
gpo=$(sam search "(&(objectClass=groupPolicyContainer)(displayName=servers))" dn 2>/dev/null | sed -n 's/^dn: //p')
assign() {
	printf 'dn: CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,%s\nchangetype: modify\nreplace: ipsecOwnersReference\nipsecOwnersReference: CN=ipsecPolicy%s,%s\n' \
		"$gpo" "$1" "$ipsec" >"$T/assign.ldif"
	sam modify "$T/assign.ldif"
}
check "and assigned to the GPO that counts" assign '{B10CB10C-0000-4000-8000-000000000001}'
check "plan says that something would change" sh -c "'$builddir/ipsecpol' --config '$T/conf' plan; test \$? = 2"
check "refresh" cli refresh
same "it is enforced" "'Block everything' {b10cb10c-0000-4000-8000-000000000001}" "$(field enforced.policy)"
check "the DC does not answer a ping any more" fails ping -c1 -W1 10.77.0.1
check "nor a connection to another port" fails timeout 2 bash -c '</dev/tcp/10.77.0.1/135'
check "but the lifeline carries DNS, Kerberos and LDAP: refresh" cli refresh
samba_stop "$D"; check "even after the DC" fails cli refresh
samba_start "$D"; check "was away" cli refresh
check "the policy is replaced" assign '{72385230-70FA-11D1-864C-14A300000000}'
check "and the host gets out" cli refresh
check "ping again" ping -c1 -W1 10.77.0.1
check "the table of before" same_table "$T/request"

# ---- unassigned ----
for ou in OU=Servers, OU=Web,OU=Servers, ""; do check "the links of ${ou}BASE are taken away" samba_seed "$D" link "${ou}BASE" ""; done
check "refresh" cli refresh
same "nothing is assigned" "permit none" "$(field mode) $(field source)"
check "no table" fails nft list table inet ipsecpol
stop
samba_stop "$D"
finish
