#!/bin/sh
# The negotiator with a real charon: what is wanted is loaded, verified, put back and taken away; nothing of an
# administrator's is touched; charon may come late, be killed, be reconfigured.
. "${srcdir:?}/tests/lib/alone.sh"
. "$srcdir/tests/lib/check.sh"
. "$srcdir/tests/lib/charon.sh"
T=$(mktemp -d /tmp/ipsecpol-test.XXXXXX)
c=$T/charon
tool=
mkdir "$c"
finish_all() { [ -z "$tool" ] || kill -9 "$tool" 2>/dev/null; charon_kill "$c"; rm -rf "$T"; }
trap finish_all EXIT
ip link set lo up
ip addr add 10.9.0.1/32 dev lo

charon_there || { echo "SKIP: strongSwan's charon-systemd and swanctl are not installed"; echo "0 passed, 1 failed"; exit 1; }
vici() { "$builddir/tests/vicitool" "$c/charon.vici" "$@"; }
ours() { vici list list-conns list-conn | grep -c '^ipsecpol-'; }

# ---- talking to the negotiator ----
# tool_start [ARGUMENT]
tool_start() {
	rm -f "$T/in"; mkfifo "$T/in"
	: >"$T/out"
	"$builddir/tests/negotiatetool" "$c/charon.vici" "$@" <"$T/in" >"$T/out" 2>>"$T/log" &
	tool=$!
	exec 3>"$T/in"
}
tool_stop() { say quit; exec 3>&-; wait "$tool"; tool_rc=$?; tool=; return $tool_rc; }
say() { echo "$*" >&3; }
# reply COMMAND: its line
reply() {
	n_out=$(grep -cvE '^(changed|spoiled)$' "$T/out")
	say "$*"
	i=0
	while [ "$(grep -cvE '^(changed|spoiled)$' "$T/out")" -le "$n_out" ] && [ $i -lt 200 ]; do sleep 0.02; i=$((i + 1)); done
	grep -vE '^(changed|spoiled)$' "$T/out" | tail -1
}
# state PATTERN [SECONDS]: the status becomes so
state() {
	end_at=$(($(date +%s) + ${2:-10}))
	while :; do
		now=$(reply status)
		case $now in $1) return 0 ;; esac
		[ "$(date +%s)" -lt $end_at ] || { echo "the status is '$now', not '$1'"; tail -5 "$T/log"; return 1; }
		sleep 0.05
	done
}
logged() { grep -q -- "$1" "$T/log" || { echo "not in the log: $1"; tail -5 "$T/log"; return 1; }; }
want() { cat >"$T/want.$1"; say "want $T/want.$1"; }

# ---- charon comes late ----
tool_start
want three <<'EOF'
key Sesame-open-1
psk Web 10.9.0.0/24 80 required 3des-sha1-modp1024
psk Mail 10.9.1.0/24 25 use aes128-sha256-modp2048
key Sesame-open-2
psk Files 10.9.2.0/24 445 required 3des-md5-modp1024
EOF
check "without charon" state "no-ike wanted 3 loaded 0 failed 0 pinned 0 filters 3 :*charon.vici*"
check "it is said what is closed" logged "charon does not answer, what must be protected is blocked"
check "charon comes" charon_start "$c"
check "and has all" state "ready wanted 3 loaded 3 failed 0 pinned 0 filters 3 charon-systemd 5.*: " 20
same "they are listed" 3 "$(ours)"
same "with their keys" 2 "$(vici get-shared | grep -c ipsecpol-)"
check "it is said" logged "charon-systemd 5[0-9.]* holds all connections of the negotiate filters (3)"
same "the caller is told" changed "$(grep changed "$T/out" | head -1)"

# ---- others' ----
cat >"$c/swanctl/swanctl.conf" <<'EOF'
connections { theirs { remote_addrs = 192.0.2.1
  local { auth = psk }
  remote { auth = psk }
  children { a { start_action = trap } } } }
secrets { ike-theirs { secret = "theirs"
  id = 192.0.2.1 } }
EOF
say "want nothing"
check "nothing is wanted" state "idle wanted 0*"
i=0; while [ "$(ours)" != 0 ] && [ $i -lt 50 ]; do sleep 0.05; i=$((i + 1)); done
same "nothing of ours is left" 0 "$(ours)"
hasnot "no key either" ipsecpol- "$(vici get-shared)"
check "an administrator's connection" charon_swanctl "$c" --load-all
theirs=$(vici list list-conns list-conn)
say "want $T/want.three"
check "ours beside it" state "ready wanted 3 loaded 3*"
same "all of them" 3 "$(ours)"
check "theirs is there" has "x" theirs "$(vici list list-conns list-conn)"

# ---- changes ----
names=$(vici get-conns | grep ipsecpol- | sort)
sed -i 's/^psk Mail.*//' "$T/want.three"
say "want $T/want.three"
check "one less" state "ready wanted 2 loaded 2*"
same "is unloaded" 2 "$(ours)"
same "the others stay" 0 "$(vici get-conns | grep ipsecpol- | sort | while read -r n; do echo "$names" | grep -qF -- "$n" || echo new; done | grep -c new)"
before=$(grep -c 'added vici connection\|updated vici connection' "$c/charon.log")
say "want $T/want.three"; reply status >/dev/null; sleep 0.3
same "the same again loads nothing" "$before" "$(grep -c 'added vici connection\|updated vici connection' "$c/charon.log")"
n=$(grep -c "loaded IKE shared key with id 'ipsecpol-" "$c/charon.log")
sed -i 's/Sesame-open-1/Sesame-other/' "$T/want.three"
say "want $T/want.three"
check "another key" state "ready wanted 2 loaded 2*"
same "it alone is loaded" $((n + 1)) "$(grep -c "loaded IKE shared key with id 'ipsecpol-" "$c/charon.log")"

# ---- one that charon does not take ----
want bad <<'EOF'
key Sesame-open-1
psk Bad 10.9.3.0/24 80 required nonsense-modp1024
psk Soft 10.9.3.0/24 81 use nonsense-modp1024
psk Good 10.9.0.0/24 80 required 3des-sha1-modp1024
problem Kerb no-mapping
EOF
check "one bad does not stop the others" state "failed wanted 3 loaded 1 failed 2 * rule '*': *invalid value for: proposals*"
check "with charon's words" logged "of rule 'Bad' could not be loaded, what must be protected is blocked: .*invalid value for: proposals"
check "what is soft is not blocked" logged "of rule 'Soft' could not be loaded, the rest is negotiated, or passes in clear"
check "a problem of the policy" logged "rule 'Kerb': no-mapping: what must be protected is blocked"
problems=$(reply problems)
same "all of them are told" "3 2" "$(echo "$problems" | python3 -c 'import json, sys; v = json.load(sys.stdin); print(len(v), sum(p["closed"] for p in v))')"
n=$(grep -c "ike-failed\|could not be loaded" "$T/log")
say "want $T/want.bad"; state "failed*" >/dev/null; sleep 0.3
same "but once" "$n" "$(grep -c "ike-failed\|could not be loaded" "$T/log")"

# ---- charon goes and comes ----
sed -i '/Bad/d;/Soft/d;/problem/d' "$T/want.bad"
say "want $T/want.bad"
check "mended" state "ready wanted 1 loaded 1 *"
charon_kill "$c"
check "charon was killed" state "no-ike wanted 1 loaded 0*"
check "started again" charon_start "$c"
check "all is loaded again" state "ready wanted 1 loaded 1 *" 20
same "indeed" 1 "$(ours)"
charon_stop "$c"
check "charon was stopped" state "no-ike wanted 1 loaded 0*"
check "and started" charon_start "$c"
check "all is loaded again" state "ready wanted 1 loaded 1 *" 20
check "their files are loaded: ours are gone" charon_swanctl "$c" --load-all
same "indeed" 0 "$(ours)"
check "and come back" sh -c 'i=0; while [ $i -lt 80 ]; do '"$builddir/tests/vicitool $c/charon.vici"' get-conns | grep -q ipsecpol- && exit 0; sleep 0.5; i=$((i + 1)); done; exit 1'
check "with the key" state "ready wanted 1 loaded 1 *"
has "indeed" ipsecpol- "$(vici get-shared)"

# ---- a service that was killed ----
kill -9 "$tool"; wait "$tool" 2>/dev/null; exec 3>&-
tool_start
want files <<'EOF'
key Sesame-open-1
psk Files 10.9.2.0/24 445 required 3des-md5-modp1024
EOF
check "what it left and nobody wants" state "ready wanted 1 loaded 1 *"
same "is unloaded" 1 "$(ours)"

# ---- certificates ----
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/ca.key" -out "$T/ca.pem" -subj "/C=DE/O=Corp/CN=CA" -days 30 2>/dev/null
for h in one two; do
	openssl req -newkey rsa:2048 -nodes -keyout "$T/$h.key" -out "$T/$h.csr" -subj "/O=Corp/CN=$h" 2>/dev/null
	openssl x509 -req -in "$T/$h.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -out "$T/$h.pem" -days 20 2>/dev/null
done
openssl x509 -in "$T/one.pem" -outform der -out "$T/one.der"
chmod 600 "$T"/*.key
want cert <<'EOF'
key Sesame-open-1
psk Files 10.9.2.0/24 445 required 3des-md5-modp1024
cert Web 10.9.0.0/24 443 required 3des-sha1-modp1024
EOF
check "no certificate" state "failed wanted 2 loaded 1 failed 1 * no certificate and private-key are configured"
say "files $T/one.pem $T/one.key $T/ca.pem"
check "with one" state "ready wanted 2 loaded 2 *"
certs() { vici list list-conns list-conn | sed -n '/^ *certs/,/^ *cacerts/p' | grep -- '- '; }
has "charon knows who we are" "O=Corp, CN=one" "$(certs)"
has "and whom we trust" ipsecpol-ca- "$(vici get-authorities)"
same "one key" 1 "$(vici get-keys | grep -c -- '- ')"
say "files $T/two.pem $T/two.key $T/ca.pem"
i=0; while ! certs | grep -q CN=two && [ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done
has "another certificate" "O=Corp, CN=two" "$(certs)"
same "the old key is gone" 1 "$(vici get-keys | grep -c -- '- ')"
say "files $T/one.der $T/one.key -"
i=0; while ! certs | grep -q CN=one && [ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done
has "in DER" "O=Corp, CN=one" "$(certs)"
hasnot "that CA is not trusted any more" ipsecpol-ca- "$(vici get-authorities)"
echo garbage >"$T/bad.key"; chmod 600 "$T/bad.key"
say "files $T/one.pem $T/bad.key $T/ca.pem"
check "a key that is none" state "failed * private-key '$T/bad.key': *"
chmod 644 "$T/two.key"
say "files $T/two.pem $T/two.key $T/ca.pem"
check "a key that anybody can read" state "failed * private-key: '$T/two.key' can be read by others*"
chmod 600 "$T/two.key"
say "files $T/two.pem $T/two.key $T/ca.pem"
check "mended" state "ready wanted 2 loaded 2 *"
say "want $T/want.files"
check "no certificate needed" state "ready wanted 1 loaded 1 *"
i=0; while vici get-keys | grep -q -- '- ' && [ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done
hasnot "our key is gone" "- " "$(vici get-keys)"
hasnot "our CA too" ipsecpol-ca- "$(vici get-authorities)"

# ---- the kernel ----
same "policies in the kernel" "installed 2" "$(reply install)"
sleep 0.2
same "our own change is nobody else's" 0 "$(grep -c spoiled "$T/out")"
ip xfrm policy flush
i=0; while ! grep -q spoiled "$T/out" && [ $i -lt 50 ]; do sleep 0.05; i=$((i + 1)); done
check "somebody flushes them: the caller is told" grep -q spoiled "$T/out"
same "they are put back" "installed 2" "$(reply install)"
for i in 1 2 3 4 5 6 7 8; do ip xfrm policy flush; sleep 0.05; reply install >/dev/null; done
n=$(grep -c spoiled "$T/out")
check "but not for ever at once ($n)" [ "$n" -le 6 ]

# ---- peers that are held to protection ----
want soft <<'EOF'
me 10.9.0.1
key Sesame-open-1
psk Mail 10.9.1.0/24 25 use aes128-sha256-modp2048
EOF
spd() { "$builddir/tests/spdtool" "$@"; }
pins() { spd pins | cut -d' ' -f1-14; }
say "want $T/want.soft"
reply install >/dev/null
spd fetch | grep -F 10.9.1.0 >"$T/soft"
same "there is something soft" 2 "$(wc -l <"$T/soft")"
spd pin "$T/soft" 10.9.1.7 600 >/dev/null
pinned=$(pins)
has "a peer is pinned" "10.9.1.7/32" "$pinned"
exec 3>&-; kill -9 "$tool"; wait "$tool" 2>/dev/null
tool_start
say "want $T/want.soft"
check "it was by an earlier run" state "ready wanted 1 loaded 1 failed 0 pinned 1 *"
ip xfrm policy flush
reply install >/dev/null
same "somebody flushes all policies: it is held again" "$pinned" "$(pins)"
spd retract nothing >/dev/null 2>&1
say "want nothing"
check "its policies go: an address was lost, say" state "idle wanted 0 loaded 0 failed 0 pinned 0 *"
same "the pins, too" "" "$(pins)"
say "want $T/want.soft"
reply install >/dev/null
same "they come back: it is held" "$pinned" "$(pins)"
check "and told" state "* pinned 1 *"
sed 's/^me .*/me 10.9.0.9/' "$T/want.soft" >"$T/want.moved"
say "want $T/want.moved"
reply install >/dev/null
has "from a new own address, too" "out 10.9.0.9/32 10.9.1.7/32" "$(pins)"
say "want $T/want.files"
check "others again" state "ready wanted 1 loaded 1 *"

# ---- other places ----
say "socket $T/nowhere"
check "no charon there" state "no-ike *"
say "socket $c/charon.vici"
check "back" state "ready wanted 1 loaded 1 *"

# ---- many ----
{ echo "key Sesame-open-4"; i=0; while [ $i -lt 1000 ]; do echo "psk Many 10.$((20 + i / 250)).$((i % 250)).0/24 80 required 3des-sha1-modp1024"; i=$((i + 1)); done; } >"$T/want.many"
say "want $T/want.many"
check "a thousand" state "ready wanted 1000 loaded 1000 *" 30
same "are listed" 1000 "$(ours)"

# ---- stopping by hand ----
n=$(reply end)
has "takes no time" "ended" "$n"
check "not two seconds ($n)" [ "$(echo "$n" | tr -dc 0-9)" -lt 2000 ]
same "nothing of ours is left" 0 "$(ours)"
hasnot "no key" ipsecpol- "$(vici get-shared)"
has "theirs is" theirs "$(vici list list-conns list-conn)"
has "and their key" ike-theirs "$(vici get-shared)"
check "the negotiator ends well" tool_stop

# ---- no IPsec in the kernel; a charon that says nothing ----
tool_start no-kernel
say "want $T/want.files"
check "a kernel without IPsec" state "no-kernel wanted 1 loaded 0 * this kernel has no IPsec*"
check "is told" logged "what must be protected is blocked: this kernel has no IPsec"
check "and that is all" tool_stop

# ---- from a policy ----
tool_start
echo 'address 10.9.0.1' >"$T/facts"
echo Sesame-open-3 >"$T/psk"; chmod 600 "$T/psk"
say "policy $srcdir/examples/policies/database.policy $T/facts"
check "a policy that wants Kerberos, and nothing for it" state "failed wanted 0 * rule 'Require security': kerberos*"
check "it is told" logged "rule 'Require security': kerberos.*: what must be protected is blocked"
say "psk $T/psk"
say "policy $srcdir/examples/policies/database.policy $T/facts"
check "a key for it" state "ready wanted [1-9]*" 20
check "charon has it" [ "$(ours)" -ge 1 ]
same "its policies are in the kernel" "installed" "$(reply install | cut -d' ' -f1)"
has "with templates" "reqid" "$(ip xfrm policy)"
reply end >/dev/null
check "and that is all" tool_stop
# ---- secrets ----
hasnot "no key in the log" Sesame "$(cat "$T/log" "$T/out")"
hasnot "nor in charon's" Sesame "$(cat "$c/charon.log")"
finish
