#!/bin/sh
# What is seen of negotiation: `dynamic show mmsas`, `qmsas`, `stats`, `show peers`, `spd`, `ike`, with two
# real charons, with the kernel's larval associations and pins, with a charon that lies, and without one.
set -u
. "${srcdir:?}/tests/lib/daemon.sh"
. "$srcdir/tests/lib/charon.sh"
charon_there || { echo "SKIP: strongSwan is not installed"; exit 0; }
modprobe xfrm_user 2>/dev/null
in_ns ip xfrm policy >/dev/null 2>&1 || { echo "SKIP: this kernel has no IPsec policies"; exit 0; }

fake=
cleanup() { [ -z "$fake" ] || kill "$fake" 2>/dev/null; charon_kill "$t/a"; charon_kill "$t/b"; finish; }
trap cleanup EXIT
dyn() { cli dynamic "$@"; }
# json ARGUMENT...: and then a python expression over j (the answer) has to be true
json() {
	expr=$1; shift
	cli --json "$@" >"$t/json" 2>"$t/json.err"; rc=$?
	python3 -c 'import json, sys
j = json.load(open(sys.argv[2]))
assert eval("(" + sys.argv[1] + ")"), json.dumps(j, indent=1)' "$expr" "$t/json"
}
fails() {
	pattern=$1; shift
	cli "$@" >"$t/told" 2>"$t/stderr"; rc=$?
	[ $rc = 1 ] && [ "$(wc -l <"$t/stderr")" = 1 ] && grep -qE -- "$pattern" "$t/stderr" || { echo "exit $rc:"; cat "$t/stderr"; return 1; }
}
clean_text() { ! LC_ALL=C grep -q "[^[:print:][:space:]]" "$1" || { cat -v "$1"; return 1; }; }

other=ipsecpol-test-$$b; more_ns=$other
ip netns add $other
ip -n $ns link add v0 type veth peer name v0 netns $other
for n in $ns:1 $other:2; do
	ip -n ${n%:*} addr add 10.9.0.${n#*:}/24 dev v0; ip -n ${n%:*} link set v0 up; ip -n ${n%:*} link set lo up
done
VICI=$t/a/charon.vici
conf WEB1

# ---- no charon ----
for w in mmsas qmsas; do
	check "show $w without charon fails" fails "charon does not answer at $t/a/charon.vici.*blocked" dynamic show $w
	check "as JSON, too" json 'j["associations"] == [] and j["ike"] is None and "charon" in j["problem"]' dynamic show $w
done
check "show stats as well" fails "charon does not answer" dynamic show stats
check "but has the kernel's part" has "Pending Key *: 0" "$t/told"
check "which is all that type=ipsec wants" dyn show stats type=ipsec
check "nobody was asked" cli show peers
check "says so" has "no peer" "$t/out"

# ---- two charons ----
mkdir -p "$t/a" "$t/b"
for n in a b; do
	charon_conf "$t/$n"
	sed -i 's/socket-default vici/socket-default counters vici/' "$t/$n/strongswan.conf"
	[ $n = a ] && peer=10.9.0.2 netns=$ns || { peer=10.9.0.1 netns=$other; }
	mkdir -p "$t/$n/swanctl"
	cat >"$t/$n/swanctl/swanctl.conf" <<EOF
connections {
  ipsecpol-0123456789abcdef {
    version = 1
    local_addrs = %any
    remote_addrs = $peer
    proposals = 3des-sha1-modp1024
    local { auth = psk }
    remote { auth = psk }
    children { q-0123456789ab {
      mode = transport
      policies = no
      reqid = 1761607696
      local_ts = dynamic[tcp$([ $n = b ] && echo /7777)]
      remote_ts = dynamic[tcp$([ $n = a ] && echo /7777)]
      esp_proposals = 3des-sha1
    } }
  }
  mine {
    version = 2
    remote_addrs = $peer
    local { auth = psk
      id = own@example }
    remote { auth = psk
      id = own@example }
    children { c { } }
  }
}
secrets { ike-x { secret = "a secret" } }
EOF
	charon_start "$t/$n" $netns || fail "charon $n"
	charon_swanctl "$t/$n" --load-all >"$t/loaded" 2>&1 || { fail "charon $n is configured"; cat "$t/loaded"; }
done
for c in q-0123456789ab c; do
	timeout 20 env STRONGSWAN_CONF="$t/a/strongswan.conf" swanctl --initiate --child $c --uri "unix://$t/a/charon.vici" >"$t/initiated" 2>&1
	grep -q "IKE_SA .* established" "$t/initiated" || { fail "$c: an IKE SA"; cat "$t/initiated"; }
done
check "show mmsas" dyn show mmsas
for l in "Cookie Pair *: [0-9a-f]{16}:[0-9a-f]{16}" "State *: ESTABLISHED" "Source *: 10\.9\.0\.1, port 500" "Destination *: 10\.9\.0\.2, port 500" \
	"Version *: IKEv1" "Security Methods *: 3DES_CBC/HMAC_SHA1_96/MODP_1024" "Authentication *: Preshared key" "Age *: [0-9]+ s" \
	"Rekeying In *: [0-9]+ h" "Connection *: ipsecpol-0123456789abcdef" "service does not say which rules"; do
	check "with $l" has "$l" "$t/out"
done
check "others are counted" has "charon has 1 IKE SA of connections that are not of the policy" "$t/out"
check "and not shown" sh -c "[ \$(grep -c '^State' '$t/out') = 1 ]"
check "as a table" dyn show mmsas format=table
check "with a line of it" has "^10\.9\.0\.1 +10\.9\.0\.2 +ESTABLISHED .*Preshared key" "$t/out"
check "as JSON" json 'len(j["associations"]) == 1 and j["others"] == 1 and j["ike"]["daemon"] == "charon-systemd" and j["problem"] is None and
	j["associations"][0]["auth"] == "preshared-key" and j["associations"][0]["src_port"] == 500 and j["associations"][0]["version"] == "IKEv1" and
	j["associations"][0]["proposal"]["group"] == "MODP_1024" and len(j["associations"][0]["cookies"]) == 2' dynamic show mmsas all
for a in srcaddr=me srcaddr=10.9.0.1 dstaddr=10.9.0.0/24 dstaddr=10.9.0.2-10.9.0.9 dstaddr=any "srcaddr=me dstaddr=10.9.0.2"; do
	check "shown for $a" json 'len(j["associations"]) == 1' dynamic show mmsas $a
done
for a in srcaddr=10.9.0.2 dstaddr=10.9.0.1 dstaddr=10.9.1.0/24 dstaddr=10.9.0.3-10.9.0.9 dstaddr=fd00::/8; do
	check "not shown for $a" json 'j["associations"] == []' dynamic show mmsas $a
done
check "and that is said" dyn show mmsas dstaddr=10.9.0.1
check "so" has "no main mode association like that" "$t/out"
check "a server type is no address" fails "'dstaddr'.*no address" dynamic show mmsas dstaddr=dns
check "me is never the peer" fails "'dstaddr'.*source of all" dynamic show qmsas dstaddr=me
check "show stats" dyn show stats
for l in "Daemon *: charon-systemd" "Main Modes *: 1$" "Invalid Cookies Rcvd *: 0" "Active Assoc *: " "Acquire Failures *: "; do
	check "with $l" has "$l" "$t/out"
done
check "as JSON" json 'j["ike"]["main_modes"] == 1 and j["ipsec"]["pending_keys"] == 0 and j["ipsec"]["rekeys"] == 0 and j["problem"] is None' dynamic show stats
check "type=ike alone" json 'j["ipsec"] is None and j["ike"]["half_open"] == 0' dynamic show stats type=ike
for w in "show mmsas" "show qmsas" "show stats" "show mmsas format=table"; do
	in_ns setpriv --reuid=65534 --regid=65534 --clear-groups "$builddir/ipsecpol" --config "$t/conf" dynamic $w >"$t/out" 2>&1
	[ $? = 1 ] && has "is for root" "$t/out" >/dev/null && ok "$w is for root" || fail "$w is for root"
done

# ---- the kernel: asked and no answer, clear, held ----
spd() { in_ns "$builddir/tests/spdtool" "$@"; }
cat >"$t/spd" <<'EOF'
out 10.9.0.1/32 10.9.0.0/29 tcp 0 7001 priority 65540 esp transport required reqid 0x69000020
out 10.9.0.1/32 10.9.0.16/28 tcp 0 7002 priority 65542 esp transport use reqid 0x69000021
EOF
spd install "$t/spd" >"$t/installed" 2>&1 || { fail "policies"; cat "$t/installed"; }
# Nobody negotiates for these: charon knows no such reqid.
ask() { in_ns python3 -c 'import socket, sys
s = socket.socket(); s.settimeout(0.3)
try: s.connect((sys.argv[1], int(sys.argv[2])))
except OSError: pass' "$@"; }
for n in 2 17 18; do ip -n $ns neigh replace 10.9.0.$n lladdr 02:00:00:00:00:0$((n % 10)) dev v0; done
ask 10.9.0.2 7001; ask 10.9.0.17 7002
check "show peers" cli show peers
check "required: negotiating" has "^10\.9\.0\.2 +negotiating .*closed" "$t/out"
check "soft: clear" has "^10\.9\.0\.17 +clear .*passes in clear" "$t/out"
spd pin "$t/spd" 10.9.0.18 300 >"$t/pinned" 2>&1 || { fail "a pin"; cat "$t/pinned"; }
check "with a pin" json '[(p["peer"], p["state"], p["pinned"], p["soft"]) for p in j["peers"]] ==
	[("10.9.0.2", "negotiating", False, False), ("10.9.0.17", "clear", False, True), ("10.9.0.18", "held", True, True)]' show peers
check "it is held" cli show peers
check "to what it negotiated" has "^10\.9\.0\.18 +held .*yes +has negotiated: closed" "$t/out"
check "show qmsas has them" dyn show qmsas
check "with what they are for" has "Destination Traffic *: 10\.9\.0\.2/32\[tcp/7001\]" "$t/out"
check "as negotiating" sh -c "[ \$(grep -c '^State *: NEGOTIATING' '$t/out') = 2 ]"
check "by protocol" json 'len(j["associations"]) == 2' dynamic show qmsas protocol=tcp
check "by another one" json 'j["associations"] == []' dynamic show qmsas protocol=udp
check "show stats counts them" json 'j["ike"]["active_acquire"] == 2 and j["ipsec"]["pending_keys"] == 2 and j["ipsec"]["active_associations"] == 0' dynamic show stats

# ---- charon is killed ----
charon_kill "$t/a"
check "show mmsas fails" fails "charon does not answer at $t/a/charon.vici" dynamic show mmsas
check "show qmsas, too" fails "charon does not answer" dynamic show qmsas
check "but it has the kernel's" has "NEGOTIATING" "$t/told"
check "peers are shown without it" cli show peers

# ---- a charon that lies ----
lie() {
	[ -z "$fake" ] || { kill "$fake"; wait "$fake" 2>/dev/null; }
	ip netns exec $ns python3 "$srcdir/tests/lib/bad_charon.py" "$t/a/charon.vici" "$1" 2>"$t/fake.err" &
	fake=$!
	i=0; while [ $i -lt 50 ] && ! in_ns python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$t/a/charon.vici" 2>/dev/null; do sleep 0.1; i=$((i + 1)); done
}
in_ns ip xfrm state flush
lie hostile
for w in "mmsas" "mmsas format=table" "qmsas" "qmsas format=table" "stats"; do
	check "hostile: show $w" dyn show $w
	check "no command to a terminal" clean_text "$t/out"
done
check "hostile: mmsas as JSON" json 'len(j["associations"]) == 2 and j["associations"][0]["age_seconds"] is None and j["associations"][0]["src_port"] is None' dynamic show mmsas
check "is ASCII" clean_text "$t/json"
check "hostile: qmsas as JSON" json 'len(j["associations"]) == 1 and j["associations"][0]["bytes_in"] is None' dynamic show qmsas
check "hostile: no such address" json 'j["associations"] == []' dynamic show mmsas dstaddr=10.9.0.2
lie installed
check "a child that the kernel has not" dyn show qmsas
check "says so" has "Problem *: the kernel does not have it" "$t/out"
check "with its bytes" has "Bytes *: 1000 in, 2000 out" "$t/out"
check "and methods" has "Security Methods *: AES_CBC-128/HMAC_SHA1_96" "$t/out"
check "by its protocol" json 'len(j["associations"]) == 1 and j["associations"][0]["kernel"] is False' dynamic show qmsas protocol=tcp
for how in cut garbage; do
	lie $how
	for w in mmsas qmsas stats; do
		check "$how: show $w fails with one line" fails . dynamic show $w
		check "that is clean" clean_text "$t/stderr"
	done
done
kill "$fake"; wait "$fake" 2>/dev/null; fake=

# ---- what would be done, without a service ----
echo "a secret key" >"$t/key"; chmod 600 "$t/key"
printf 'address 10.1.0.5\ndc 10.77.0.1\n' >"$t/facts"
from="--directory ldif:$t/corp.ldif --facts $t/facts"
check "show spd without a mapping of Kerberos" cli show spd $from
check "warns of the rule" has "warning: rule 'Databases, protected' \{e5996593-.*no mapping.*blocked" "$t/out"
check_not "and has no policy of it" has "reqid" "$t/out"
check "as JSON it is clean" json 'j["policies"] == []' show spd $from
check "plan differs" sh -c '"$@"; [ $? = 2 ]' sh "$builddir/ipsecpol" --config "$t/conf" plan $from
check "and warns of it, too" has "warning: rule 'Databases, protected' \{e5996593-.*no mapping.*blocked" "$t/out"
IKE="kerberos = psk $t/key"
conf WEB1
check "with a mapping" cli show spd $from
check "it is protected" has "^out 10\.1\.0\.5/32 10\.77\.20\.0/24 tcp 0 5432 .*required reqid" "$t/out"
check "show ike" cli show ike $from
check "has the connection" has "remote_addrs = 10\.77\.20\.0/24" "$t/out"
check "and no key" has 'secret = \*\*\*' "$t/out"
check "as JSON" json 'j["connections"][0]["rule"] == "Databases, protected" and j["connections"][0]["children"][0]["reqid"] >= 0x69000000 and
    j["connections"][0]["children"][0]["rule_name"] == "Databases, protected" and j["connections"][0]["children"][0]["store"] == "domain"' show ike $from
check_not "no key either" grep -q "a secret key" "$t/json" "$t/json.err" "$t/out"
check "of another computer" cli show spd --directory "ldif:$t/corp.ldif" --computer WEB2
check "its addresses are missed" has "addresses of WEB2.* are not known.*--facts" "$t/out"

# ---- with the service ----
spd retract nothing >/dev/null 2>&1; in_ns ip xfrm state flush
charon_start "$t/a" $ns || fail "charon"
check "the daemon" start
check "has asked" cli refresh
cat >"$t/script" <<'EOF'
pushd ipsec dynamic
add mmpolicy name=mm mmsecmethods=3DES-SHA1-2
add qmpolicy name=required qmsecmethods="ESP[3DES,SHA1]:1000k/900s"
add qmpolicy name=soft qmsecmethods="ESP[3DES,SHA1]:1000k/900s" soft=yes
add qmpolicy name=both qmsecmethods="AH[SHA1]+ESP[3DES,SHA1]:1000k/900s"
add rule srcaddr=me dstaddr=10.9.0.21 protocol=TCP dstport=7001 mmpolicy=mm qmpolicy=required psk="a secret key"
add rule srcaddr=me dstaddr=10.9.0.22 protocol=TCP dstport=7002 mmpolicy=mm qmpolicy=soft psk="a secret key"
EOF
check "rules that negotiate" cli exec "$t/script"
check "ikelogging" dyn set config property=ikelogging value=1
check "counts at once" has "^ikelogging = 1 \(now\)" "$t/out"
i=0; while [ $i -lt 100 ] && ! is negotiate.state ready >/dev/null; do sleep 0.1; i=$((i + 1)); done
check "status" cli status
check "says that it works" has "^Negotiate: *works: 3 connections loaded by charon-systemd.*IPsec policies in the kernel" "$t/out"
for n in 21 22; do ip -n $ns neigh replace 10.9.0.$n lladdr 02:00:00:00:00:$n dev v0; done
ask 10.9.0.21 7001; ask 10.9.0.22 7002
check "show peers" cli show peers
check "required, by its rule" has "^10\.9\.0\.21 +negotiating .*'me to 10\.9\.0\.21/32 tcp" "$t/out"
check "soft, by its rule" has "^10\.9\.0\.22 +clear .*'me to 10\.9\.0\.22/32 tcp" "$t/out"
check "a rule for AH and ESP together" dyn add rule srcaddr=me dstaddr=10.9.0.23 protocol=TCP dstport=7003 mmpolicy=mm qmpolicy=both psk="a secret key"
ip -n $ns neigh replace 10.9.0.23 lladdr 02:00:00:00:00:23 dev v0; ask 10.9.0.23 7003
check "show peers" cli show peers
check "nobody negotiates for it" has "^10\.9\.0\.23 +blocked .*cannot be negotiated: closed" "$t/out"
check "and status says why" cli status
check "with the rule" has "^  blocked: *rule 'me to 10\.9\.0\.23/32 tcp.*AH and ESP" "$t/out"
check "it is deleted" dyn delete rule srcaddr=me dstaddr=10.9.0.23 protocol=TCP srcport=0 dstport=7003 mirrored=yes conntype=all
check "show qmsas" dyn show qmsas dstaddr=10.9.0.21
check "has the rule" has "^Rule *: 'me to 10\.9\.0\.21/32 tcp" "$t/out"
check "show mmsas" dyn show mmsas dstaddr=10.9.0.21
check "has a half-open one" has "^State *: CONNECTING" "$t/out"
check "of the rule" has "^Rule *: 'me to 10\.9\.0\.21/32 tcp" "$t/out"
check "show ike of the service" json 'len(j["connections"]) == 3' show ike
check "show spd of the service" cli show spd
check "has the rules" has "s:dynamic" "$t/out"
check "show all" dyn show all
check "has associations" has "NEGOTIATING" "$t/out"
check "show all --json" json 'len(j) == 9 and j["mmsas"]["ike"] and j["stats"]["ike"]' dynamic show all
dyn show all >"$t/shown"; cli show ike >>"$t/shown"; cli show spd >>"$t/shown"; cli show ike --json >>"$t/shown"; cli status --json >>"$t/shown"
check_not "the key is shown nowhere" grep -q "a secret key" "$t/shown" "$t/log"
charon_kill "$t/a"
i=0; while [ $i -lt 100 ] && ! is negotiate.state no-ike >/dev/null; do sleep 0.1; i=$((i + 1)); done
check "status without charon" cli status
check "says so" has "^Negotiate: *PROBLEM: no IKE daemon answers" "$t/out"
check "why" has "charon (hung up|is not running)" "$t/out"
check "and what to do" has "to do: install strongSwan" "$t/out"
check "and what is closed" has "what must be protected is blocked \([0-9]+ filter" "$t/out"
check "show peers" cli show peers
check "still knows the rules" has "'me to 10\.9\.0\.21/32 tcp" "$t/out"
check "show all without charon" dyn show all
check "has one line about it" has "charon does not answer at $t/a/charon.vici" "$t/out"
check "show all --json without charon" json 'len(j) == 9 and j["mmsas"]["ike"] is None and "charon" in j["mmsas"]["problem"]' dynamic show all
IKE= && conf WEB1 && kill -HUP $daemon
i=0; while [ $i -lt 100 ] && [ "$(field negotiate.problems)" = "[]" ]; do sleep 0.1; i=$((i + 1)); done
check "status without the mapping" cli status
check "names the rule" has "^  blocked: *rule 'Databases, protected' \{e5996593.*: kerberos: .*no mapping" "$t/out"
summary
