#!/bin/sh
# Refreshes on a real Samba AD DC: Kerberos as the machine account, SRV discovery, sites, and Group Policy in
# all its turns.  Everything lives in namespaces of its own (network, mounts, processes) and in one folder
# below /tmp; the domain is provisioned once and kept packed in $builddir/samba-cache.
. "${srcdir:?}/tests/lib/alone.sh"
. "$srcdir/tests/lib/check.sh"
. "$srcdir/tests/lib/slapd.sh"
. "$srcdir/tests/lib/samba.sh"
for p in samba samba-tool samba_spnupdate ldapsearch openssl zstd python3; do
	command -v $p >/dev/null || { echo "SKIP: $p is not installed"; echo "0 passed, 1 failed"; exit 1; }
done
mount -t tmpfs -o mode=755 none /run
T=$(mktemp -d /tmp/ipsecpol-samba.XXXXXX) && chmod 755 "$T" || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM HUP
cp "$builddir/ipsecpol-worker" "$T/" && chmod 755 "$T/ipsecpol-worker"
D=$T/domain
mkdir -m 711 "$D"
check "a domain is provisioned or unpacked" samba_init "$D"
samba_net 10.77.0.50
samba_client "$D"
samba_start "$D" || { echo "0 passed, 1 failed"; exit 1; }
check "keytab" samba_keytab "$D" "$T/all.keytab"
chmod 755 "$D/tls"

# conf HOST [LINES...]
conf() {
	{ printf '[directory]\nuri = ldap:///\ndomain = corp.example\ncomputer = %s\nconnect-timeout = 2\ntimeout = 5\n' "$1"; shift
	for l; do printf '%s\n' "$l"; done; } >"$T/conf"
}
# host N: a refresh as that computer, its keytab by a descriptor, as the daemon does it
host() { conf "HOST$1"; shift; ask --keytab-fd 8 "$@"; }
keytab="8<\"$T/all.keytab\""
ask_fds=$keytab
g() { printf '{aaaaaaaa-0000-0000-0000-%012x}' "$1"; }
# verdicts N...: of GPOs by number
verdicts() { for n; do printf '%s ' "$n:$(verdict "$(g "$n")" | tr ' ' ,)"; done; }
seed() { samba_seed "$D" "$@"; }

# ---- the whole way: discovery, Kerberos, chain, filtering, policy
host 1
same "HOST1: a result" "0" "$rc$(why)"
same "assigned" assigned "$(part assignment)"
same "an enforced link above beats the nearer ones" "$(g 2)" "$(part gpo)"
same "policy: Server (Request Security)" "Server (Request Security)" "$(rsop policy.name)"
same "verdicts of HOST1" "1:applies,link-disabled 2:applies 3:applies 4:applies 5:gpo-disabled 6:unreadable 8:no-ipsec-extension " \
	"$(verdicts 1 2 3 4 5 6 8)"
same "the preferred DC refuses: the next one" "ldap://dc1.corp.example" "$(part server)"
same "its address" 10.77.0.1 "$(part address)"
same "all DCs that were found" "10.77.0.2 10.77.0.1" "$(echo $(part dcs))"
same "site from the NetLogon ping" "Default-First-Site-Name ping" "$(part site) $(rsop site_from)"
same "token from the root DSE" rootDSE "$(rsop token_from)"
[ "$(part policy | grep -c .)" -gt 10 ] && ok "policy text" || bad "policy text" "$(cat "$T/out")"

# ---- warm
part hints >"$T/hints"
cold=$(searches)
ask_fds="$keytab 7<\"$T/hints\""
ask --keytab-fd 8 --hints-fd 7 --site Default-First-Site-Name
same "with hints: the same" "$(g 2)" "$(part gpo)"
echo "searches: $cold cold, $(searches) with hints, the ping among them"
if [ "$(searches)" -le 4 ]; then ok "with hints three searches and the ping"; else
	bad "with hints three searches and the ping" "$(part snapshot | grep '^# search:')"; fi
printf 'CN=gone,DC=corp,DC=example\nOU=Servers,DC=corp,DC=example\n,,\n' >"$T/hints"
ask --keytab-fd 8 --hints-fd 7
same "with stale hints: the same" "$(g 2)" "$(part gpo)"
ask_fds=$keytab
part snapshot >"$T/again.ldif"
conf HOST1; sed -i "s|^uri.*|uri = ldif:$T/again.ldif|" "$T/conf"
ask
same "the snapshot gives the same assignment" "$(g 2) Server (Request Security)" "$(part gpo) $(rsop policy.name)"

# ---- Group Policy, host by host
host 2
same "HOST2: the domain's" "$(g 1) Client (Respond Only)" "$(part gpo) $(rsop policy.name)"
host 3
same "HOST3: blocked, but not what is enforced" "$(g 2)" "$(part gpo)"
same "HOST3: denied to a group it is in; blocked" "1:blocked 4:access-denied,blocked 2:applies " "$(verdicts 1 4 2 | sed 's/4:blocked,access-denied/4:access-denied,blocked/')"
host 4
same "HOST4: the last link of a container wins" "$(g 4) Secure Server (Require Security)" "$(part gpo) $(rsop policy.name)"
host 5
same "HOST5: of two enforced links, the higher one" "$(g 2) 3:applies " "$(part gpo) $(verdicts 3)"
host 6
same "HOST6: blocked by a container without links: nothing" "none 1:blocked " "$(part assignment) $(verdicts 1)"
same "HOST6: ... no policy, nothing refused" "" "$(part policy)$(part refused)"
host 7
same "HOST7: allowed through a group in a group" "$(g 3)" "$(part gpo)"
host 8
same "HOST8: not in the group" "$(g 1) 3:access-denied " "$(part gpo) $(verdicts 3)"
host 9
same "HOST9: a WMI filter is taken as false" "$(g 1) 9:wmi-filter " "$(part gpo) $(verdicts 9)"
conf HOST9 "[policy]" "wmi-filter = allow"
ask --keytab-fd 8
same "HOST9: unless it is allowed" "$(g 9)" "$(part gpo)"

# ---- site
ip addr flush dev eth0; ip addr add 10.77.0.70/24 dev eth0
host 2 --site Branch
same "another address: another site, its enforced link wins" "Branch $(g 7)" "$(part site) $(part gpo)"
host 6
same "a blocked container does not stop it" "$(g 7)" "$(part gpo)"
ip addr flush dev eth0; ip addr add 10.77.0.200/24 dev eth0
host 2
same "no subnet covers us: no site" "$(g 1)" "$(part site)$(part gpo)"
conf HOST2 "site = Branch"
ask --keytab-fd 8
same "a configured site" "Branch configured $(g 7)" "$(part site) $(rsop site_from) $(part gpo)"
ip addr flush dev eth0; ip addr add 10.77.0.50/24 dev eth0

# ---- identity
conf HOST2 "keytab = $T/all.keytab"
ask_fds=
ask
has "a keytab that cannot be read is named" "keytab $T/all.keytab: Permission denied" "$(why)"
chmod 644 "$T/all.keytab"
ask
same "a keytab by its path, of many accounts" "$(g 1)" "$(part gpo)"
sed -i 's/HOST2/HOST99/' "$T/conf"
ask
has "no key of the account in it" "no key of 'HOST99\$' in it" "$(why)"
cp "$D/tls/ca.pem" "$T/ca.pem"; chmod 644 "$T/ca.pem"
printf 'M4chine-Pw-HOST1\n' >"$T/password"
ask_fds="8<\"$T/password\""
conf HOST1 "bind = simple" "bind-dn = HOST1\$@corp.example" "bind-password-file = $T/password" "tls = start" "tls-ca = $T/ca.pem"
ask --password-fd 8
same "StartTLS and simple bind" "0 $(g 2)" "$rc $(part gpo)"
conf HOST1 "bind = simple" "bind-dn = HOST1\$@corp.example" "bind-password-file = $T/password" "tls-ca = $T/ca.pem"
sed -i 's|^uri.*|uri = ldaps:///corp.example|' "$T/conf"
ask --password-fd 8
same "ldaps, discovered" "0 $(g 2) ldaps://dc1.corp.example" "$rc $(part gpo) $(part server)"
sed -i 's|^uri.*|uri = ldap:///DC%3Dcorp%2CDC%3Dexample|' "$T/conf"
ask --password-fd 8
has "simple in clear: refused" "would send the password in clear" "$(why)"
ask_fds=$keytab
conf HOST1 "tls = start" "tls-ca = $T/ca.pem"
ask --keytab-fd 8
has "Kerberos inside TLS, which this DC does not want: said so" "Kerberos bind" "$(why)"

# ---- the administrator looks at any computer, with a ticket of his own or the machine's key
cli() { "$builddir/ipsecpol" --config "$T/conf" "$@" 2>&1; }
said() { python3 -c "
import json, sys
v = json.load(sys.stdin)
print(v['computer'], v['winner'].lower(), v['token_from'])"; }
conf HOST1 "keytab = $T/all.keytab"
same "CLI: another computer, with the machine's key" "HOST7\$ $(g 3) computer" "$(cli show rsop --directory ldap:/// --computer HOST7 --json | said)"
conf HOST1 "keytab = $T/none.keytab"
has "CLI: neither key nor ticket: said so" "keytab $T/none.keytab: No such file or directory" "$(KRB5CCNAME=FILE:$T/none cli show rsop --directory ldap:/// --computer HOST7)"
echo Passw0rd.1 | kinit -c "FILE:$T/cc" Administrator >/dev/null 2>&1
same "CLI: with a ticket of one's own" "HOST8\$ $(g 1) computer" "$(KRB5CCNAME=FILE:$T/cc cli show rsop --directory ldap:/// --computer HOST8 --json | said)"
has "CLI: policy" "Secure Server (Require Security)" "$(KRB5CCNAME=FILE:$T/cc cli show policy --directory ldap://dc1.corp.example --computer HOST4)"

# ---- half-dead domain controllers
bad_dc() {
	ip netns exec dc python3 "$srcdir/tests/lib/bad_dc.py" "$@" 2>"$T/bad_dc.err" &
	bad_dc=$!
	until ip netns exec dc python3 -c "import socket; socket.create_connection(('10.77.0.2', 389))" 2>/dev/null; do sleep 0.05; done
}
bad_dc_stop() { kill $bad_dc; wait $bad_dc 2>/dev/null; }
bad_dc 10.77.0.2 hang
host 1
same "a DC that accepts and hangs: the next one" "$(g 2) ldap://dc1.corp.example" "$(part gpo) $(part server)"
under "... in bounded time" 8
bad_dc_stop
for n in 2000 6000 12000; do
	bad_dc 10.77.0.2 stall 10.77.0.1 $n
	host 1
	same "a DC that stalls after $n bytes: from the beginning on the next" "$(g 2) ldap://dc1.corp.example" "$(part gpo) $(part server)"
	under "... in bounded time" 14
	bad_dc_stop
done
bad_dc 10.77.0.2 cut 10.77.0.1 9000
host 1
same "a DC that dies in between: the next one" "$(g 2) ldap://dc1.corp.example" "$(part gpo) $(part server)"
bad_dc_stop

# ---- what may not be read, and what is gone
check "the policy container is hidden" seed ipsec-acl off
host 1
same "objects without attributes: assignment unknown or refused, never none" "" "$(part policy)$(part assignment | grep none)"
has "... as denied" "denied " "$(part refused)"
check "the policy container is shown again" seed ipsec-acl on
check "a filter list is deleted" seed delete "CN=ipsecFilter{7238523A-70FA-11D1-864C-14A300000000},CN=IP Security,CN=System,BASE"
host 1
same "assigned, refused whole" "assigned absent" "$(part assignment) $(part refused | cut -d' ' -f1)"
has "... the object is named" "7238523a" "$(part refused | tr A-Z a-z)"
check "the assigned policy is deleted" seed delete "CN=ipsecPolicy{72385236-70FA-11D1-864C-14A300000000},CN=IP Security,CN=System,BASE"
host 2
same "a deleted policy: unknown, nothing falls through" "unknown $(g 1)" "$(part assignment) $(part gpo)"
check "the link is taken away" seed link BASE ""
host 2
same "nothing assigned" none "$(part assignment)"

# ---- nobody there
samba_stop "$D"
host 1
has "DC stopped: no result" "offline " "$(why)"
under "... in bounded time" 30
finish
