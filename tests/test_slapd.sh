#!/bin/sh
# A refresh on OpenLDAP: binds, TLS, paging, limits, nested groups, rights.  Everything lives in
# namespaces of its own (network, mounts, processes) and in one folder below /tmp.
. "${srcdir:?}/tests/lib/alone.sh"
. "$srcdir/tests/lib/check.sh"
. "$srcdir/tests/lib/slapd.sh"
T=$(mktemp -d /tmp/ipsecpol-slapd.XXXXXX) && chmod 755 "$T" || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM HUP
cp "$builddir/ipsecpol-worker" "$T/" && chmod 755 "$T/ipsecpol-worker"
provision=/usr/share/samba/setup/provision.ldif
for p in slapd ldapadd openssl python3; do
	command -v $p >/dev/null || { echo "SKIP: $p is not installed"; echo "0 passed, 1 failed"; exit 1; }
done

ip link set lo up
ip link add eth0 type veth peer name eth1
ip addr add $slapd_addr/24 dev eth0 && ip link set eth0 up && ip link set eth1 up
mkdir "$T/etc"
printf '127.0.0.1 localhost\n%s ldap.corp.example\n' "$slapd_addr" >"$T/etc/hosts"
: >"$T/etc/resolv.conf"
mount --bind "$T/etc/hosts" /etc/hosts && mount --bind "$T/etc/resolv.conf" "$(readlink -f /etc/resolv.conf)"

S=$T/slapd
python3 "$srcdir/tests/lib/slapd_data.py" "$provision" >"$T/all.ldif" || exit 1
sed '/^--$/,$d' "$T/all.ldif" >"$T/data.ldif"
sed '1,/^--$/d' "$T/all.ldif" >"$T/groups.ldif"
check "slapd: schema and data load" slapd_init "$S" "$T/data.ldif"
slapd_start "$S" || { echo "0 passed, 1 failed"; exit 1; }
check "slapd: groups are added" ldapadd -Q -Y EXTERNAL -H "$(slapd_ldapi "$S")" -f "$T/groups.ldif"
chmod 644 "$S/host1.key"
printf 'secret1\n' >"$T/password"; chmod 600 "$T/password"
printf 'wrong\n' >"$T/wrong"
: >"$T/empty"

# conf URI LINES...
conf() {
	{ printf '[directory]\nuri = %s\ncomputer = HOST1$\nconnect-timeout = 2\ntimeout = 5\n' "$1"; shift
	for l; do printf '%s\n' "$l"; done; } >"$T/conf"
}
ldapi=$(slapd_ldapi "$S")
g1='{aaaaaaaa-0000-0000-0000-000000000001}' g2='{aaaaaaaa-0000-0000-0000-000000000002}'
g3='{aaaaaaaa-0000-0000-0000-000000000003}' g4='{aaaaaaaa-0000-0000-0000-000000000004}'
dn="CN=HOST1,OU=Web,OU=Servers,$slapd_base"
simple="bind = simple
bind-dn = $dn
bind-password-file = $T/password
tls-ca = $S/ca.pem"
ask_secret="8<\"$T/password\""

# ---- EXTERNAL over ldapi: the whole assignment
conf "$ldapi" "bind = external"
ask
same "ldapi, EXTERNAL: a result" "0 " "$rc $(why)"
same "assignment" assigned "$(part assignment)"
same "policy of the OU above, its group has us by nesting" "Server (Request Security)" "$(rsop policy.name)"
same "winner" "$g2" "$(part gpo)"
same "the token comes from the groups" groups "$(rsop token_from)"
same "verdict: domain" applies "$(verdict "$g1")"
same "verdict: OU" applies "$(verdict "$g2")"
same "verdict: a group that we are not in" access-denied "$(verdict "$g3")"
same "verdict: site, by own address and subnet" applies "$(verdict "$g4")"
same "site" Branch "$(part site)"
same "server" "$ldapi" "$(part server)"
has "policy text has its three rules" "594272e2" "$(part policy)"
[ "$(part policy | wc -l)" -gt 10 ] && ok "policy is written" || bad "policy is written"

# ---- warm: what mattered the last time comes in one search
part hints >"$T/hints"
cold=$(searches)
ask_fds="7<\"$T/hints\""
ask --hints-fd 7
same "with hints: the same policy" "Server (Request Security)" "$(rsop policy.name)"
echo "searches: $cold cold, $(searches) with hints"
[ "$(searches)" -lt "$cold" ] && ok "with hints fewer searches" || bad "with hints fewer searches" "$(part snapshot | grep '^# search:')"
printf 'CN=gone,DC=corp,DC=example\nnot a name\n\n,,,\nDC=other\n' >"$T/hints"
ask --hints-fd 7
same "stale hints: the same policy" "Server (Request Security)" "$(rsop policy.name)"
ask_fds=

# ---- the snapshot is a directory again
part snapshot >"$T/again.ldif"
conf "ldif:$T/again.ldif"
ask
same "a snapshot gives the same assignment" "$g2" "$(part gpo)"

# ---- binds
conf "ldap://ldap.corp.example" "$simple" "tls = start"
ask_fds=$ask_secret
ask --password-fd 8
same "StartTLS, simple" "0 $g2 $slapd_addr" "$rc $(part gpo) $(part address)"
conf "ldaps://$slapd_addr" "$simple"
ask --password-fd 8
same "ldaps, simple, address in the certificate" "0 $g2" "$rc $(part gpo)"
ask_fds=
ask
has "the password file may be read by its owner only" "password file '$T/password': Permission denied" "$(why)"
ask_fds="8<\"$T/wrong\""
ask --password-fd 8
has "wrong password: denied" "denied ldaps://$slapd_addr: simple bind: Invalid credentials" "$(why)"
ask_fds="8<\"$T/empty\""
ask --password-fd 8
has "empty password: refused here" "empty password" "$(why)"
ask_fds=$ask_secret
conf "ldap://ldap.corp.example" "$simple"
ask --password-fd 8
has "simple in clear: refused" "would send the password in clear" "$(why)"
conf "ldaps://ldap.corp.example" "$simple"
has "... also by --directory" "simple bind: refused without TLS" "$("$builddir/ipsecpol" --config "$T/conf" show rsop --directory ldap://ldap.corp.example --computer HOST1 2>&1)"
conf "ldaps://ldap.corp.example" "bind = external" "tls-ca = $S/ca.pem" "tls-cert = $S/host1.pem" "tls-key = $S/host1.key"
ask
same "ldaps, EXTERNAL with a client certificate" "0 $g2" "$rc $(part gpo)"
conf "ldap://ldap.corp.example" "bind = external" "tls = start" "tls-ca = $S/ca.pem" "tls-cert = $S/host1.pem" "tls-key = $S/host1.key"
chmod 600 "$S/host1.key"
ask_fds="8<\"$S/host1.key\""
ask --tls-key-fd 8
same "StartTLS, EXTERNAL, the key by a descriptor" "0 $g2" "$rc $(part gpo)"
ask_fds=
conf "ldap://ldap.corp.example" "bind = external" "tls = start" "tls-ca = $S/ca.pem"
ask
has "EXTERNAL without a certificate: refused" "needs TLS and tls-cert" "$(why)"

# ---- certificates
ask_fds=$ask_secret
conf "ldaps://ldap.corp.example" "bind = simple" "bind-dn = $dn" "bind-password-file = $T/password" "tls-ca = $S/other.pem"
ask --password-fd 8
has "ldaps, another CA: refused, and the message says why" "must be signed by an authority of $S/other.pem" "$(why)"
conf "ldap://ldap.corp.example" "tls = start" "bind = simple" "bind-dn = $dn" "bind-password-file = $T/password" "tls-ca = $S/other.pem"
ask --password-fd 8
has "StartTLS, another CA: refused" "must be signed by an authority of $S/other.pem" "$(why)"
conf "ldap://ldap.corp.example" "tls = start" "bind = simple" "bind-dn = $dn" "bind-password-file = $T/password"
ask --password-fd 8
has "StartTLS, the system's CAs: refused" "authority of the system's" "$(why)"
ask_env="LDAPTLS_REQCERT=never"
ask --password-fd 8
has "LDAPTLS_REQCERT=never changes nothing" "must be signed by" "$(why)"
ask_env=
conf "ldap://ldap.corp.example" "tls = start" "bind = simple" "bind-dn = $dn" "bind-password-file = $T/password" "tls-ca = $T/none.pem"
ask --password-fd 8
has "no CA file: named" "CA file '$T/none.pem': No such file or directory" "$(why)"
printf '%s other.corp.example\n' "$slapd_addr" >>"$T/etc/hosts"
conf "ldaps://other.corp.example" "$simple"
ask --password-fd 8
has "a certificate for another name: refused" "name the host as the URI does" "$(why)"

# ---- servers that are not there, and ones that hang
conf "ldaps://$slapd_addr:1" "$simple"
ask --password-fd 8
has "nobody listens" "offline ldaps://$slapd_addr:1: connect: Can't contact LDAP server" "$(why)"
python3 - $slapd_addr <<-'EOP' &
	import socket, sys, time
	held = []
	s = socket.create_server((sys.argv[1], 3890)); s2 = socket.create_server((sys.argv[1], 6360))
	s.setblocking(False); s2.setblocking(False)
	while True:
	    for x in (s, s2):
	        try: held.append(x.accept())
	        except BlockingIOError: pass
	    time.sleep(0.05)
EOP
sleep 0.5
conf "ldap://$slapd_addr:3890" "$simple" "tls = start"
ask --password-fd 8
has "accepts and hangs before StartTLS" "StartTLS: no answer in time" "$(why)"
under "... within the timeout" 6
conf "ldaps://$slapd_addr:6360" "$simple"
ask --password-fd 8
has "accepts and hangs in the TLS handshake" "offline ldaps://$slapd_addr:6360: TLS: no answer in time" "$(why)"
under "... within the timeout" 6
# Caught while it hangs, and started by root for once: what it may still do.
"$T/ipsecpol-worker" --config "$T/conf" >/dev/null 8<"$T/password" --password-fd 8 &
sleep 1
status=$(cat /proc/$!/status; echo "cpu $(sed -n 's/^Max cpu time *\([0-9]*\).*/\1/p' /proc/$!/limits) core $(sed -n 's/^Max core file size *\([0-9]*\).*/\1/p' /proc/$!/limits)")
wait $!
status=$(echo "$status" | tr '\t' ' ')
for line in 'CapPrm: 0000000000000000' 'CapEff: 0000000000000000' 'CapBnd: 0000000000000000' 'CapAmb: 0000000000000000' \
	'NoNewPrivs: 1' 'Seccomp: 2' 'cpu 120 core 0'; do
	has "worker: $line" "$line" "$status"
done
conf "ldaps://$slapd_addr:6360 ldaps://$slapd_addr:1 ldaps://ldap.corp.example" "$simple"
ask --password-fd 8
same "the next of several URIs is asked" "0 $g2 ldaps://ldap.corp.example" "$rc $(part gpo) $(part server)"
ask_fds=

# ---- what the worker may not do
if ${CC:-cc} -shared -fPIC -o "$T/escape.so" "$srcdir/tests/lib/escape.c" -lpthread 2>"$T/cc.err"; then
	LD_PRELOAD="$T/escape.so" "$T/ipsecpol-worker" --config "$T/conf" >/dev/null 2>"$T/escape"
	same "worker: reads files, starts threads, and nothing else" \
		"read done write EPERM change EPERM create EPERM unlink EPERM mkdir EPERM exec EPERM fork EPERM signal EPERM ptrace EPERM packet EPERM thread done" \
		"$(echo $(cat "$T/escape"))"
else
	bad "tests/lib/escape.c" "$(cat "$T/cc.err")"
fi

# ---- limits and rights
slapd_stop "$S"
slapd_prtotal=600; slapd_conf "$S"; slapd_start "$S"
conf "$ldapi" "bind = external"
ask
has "more than the server is willing to give: no result" "offline $ldapi: search of 'CN=IP Security,CN=System,$slapd_base': search: Size limit exceeded" "$(why)"
slapd_stop "$S"
slapd_prtotal=unlimited
slapd_extra="access to dn.subtree=\"CN=IP Security,CN=System,$slapd_base\" by dn.exact=\"$dn\" none"; slapd_conf "$S"; slapd_start "$S"
ask
same "policy container invisible: assignment unknown, nothing is dropped" "unknown" "$(part assignment)"
same "... and no policy" "" "$(part policy)"
[ -n "$(part refused)" ] && ok "... and why: $(part refused)" || bad "... and why"
slapd_stop "$S"
slapd_extra="access to dn.subtree=\"CN=IP Security,CN=System,$slapd_base\" by dn.exact=\"$dn\" disclose"; slapd_conf "$S"; slapd_start "$S"
ask
same "policy container denied" "unknown" "$(part assignment)"
has "... as denied" "denied " "$(part refused)"
slapd_stop "$S"
slapd_extra="access to dn.exact=\"OU=Servers,$slapd_base\" by dn.exact=\"$dn\" none"; slapd_conf "$S"; slapd_start "$S"
ask
same "an OU above us that we may not read: no evaluation" 1 "$rc"
slapd_stop "$S"
slapd_extra=; slapd_conf "$S"; slapd_start "$S"

# ---- policy deleted while assigned; then nothing assigned
del() { ldapdelete -Q -Y EXTERNAL -H "$ldapi" "$1"; }
check "a rule's filter action is deleted" del "CN=ipsecNegotiationPolicy{72385233-70FA-11D1-864C-14A300000000},CN=IP Security,CN=System,$slapd_base"
ask
same "... still assigned" "assigned" "$(part assignment)"
has "... refused whole, the missing object is named" "absent " "$(part refused)"
has "... the missing object is named" "72385233" "$(part refused | tr A-Z a-z)"
same "... no policy" "" "$(part policy)"
check "the policy is deleted" del "CN=ipsecPolicy{72385230-70FA-11D1-864C-14A300000000},CN=IP Security,CN=System,$slapd_base"
ask
same "... assignment unknown, no falling through" "unknown $g2" "$(part assignment) $(part gpo)"
printf 'dn: %s\nchangetype: modify\nreplace: gPLink\ngPLink:: %s\n\ndn: %s\nchangetype: modify\nreplace: gPLink\ngPLink: %s\n\ndn: %s\nchangetype: modify\ndelete: gPLink\n' \
	"OU=Servers,$slapd_base" IA== "$slapd_base" "[LDAP://CN=$g1,CN=Policies,CN=System,$slapd_base;1]" "CN=Branch,CN=Sites,CN=Configuration,$slapd_base" >"$T/unlink.ldif"
check "links are taken away, one is disabled" ldapmodify -Q -Y EXTERNAL -H "$ldapi" -f "$T/unlink.ldif"
ask
same "nothing assigned" "none" "$(part assignment)"
same "... no policy, nothing refused" "" "$(part policy)$(part refused)"
conf "$ldapi" "bind = external"; sed -i 's/HOST1/HOST9/' "$T/conf"
ask
has "an unknown computer" "absent computer HOST9\$ does not exist" "$(why)"
slapd_stop "$S"
conf "$ldapi" "bind = external"
ask
has "server gone" "offline $ldapi: connect: Can't contact LDAP server" "$(why)"
finish
