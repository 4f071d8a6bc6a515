#!/bin/sh
# The store of a domain, edited on OpenLDAP and on a real Samba AD DC: what an administrator writes is
# what another host's agent gets; and nothing that happens in between, an editor that is killed or
# another one that is faster, leaves a policy that cannot be used.
. "${srcdir:?}/tests/lib/alone.sh"
slapd_addr=127.0.0.1
. "$srcdir/tests/lib/check.sh"
. "$srcdir/tests/lib/slapd.sh"
. "$srcdir/tests/lib/samba.sh"
for p in slapd ldapmodify samba samba-tool ldbsearch kinit openssl python3; do
	command -v $p >/dev/null || { echo "SKIP: $p is not installed"; echo "0 passed, 1 failed"; exit 1; }
done
mount -t tmpfs -o mode=755 none /run
T=$(mktemp -d /tmp/ipsecpol-store.XXXXXX) && chmod 755 "$T" || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM HUP
samba_net 10.77.0.50
S=$T/slapd D=$T/domain
base=DC=corp,DC=example ipsec="CN=IP Security,CN=System,DC=corp,DC=example"
ldapi=$(slapd_ldapi "$S")
cse='[{E437BC1C-AA7D-11D2-A382-00C04F991E27}{DEA8AFA0-CC85-11D0-9CE2-0080C7221EBD}]'

# edit COMMAND...: single changes, as $conf says, of $uri
edit() { "$builddir/tests/edittool" "$conf" "$uri" "$@" 2>&1; }
# one COMMAND: of the static context; batch FILE: all of them, written together
netsh() { "$builddir/ipsecpol" --config "$conf" --directory "$uri" exec --store domain - 2>&1; }
one() { printf 'ipsec static %s\n' "$1" | netsh; }
batch() { { echo "pushd ipsec static"; cat "$1"; } | netsh; }
# store FILE: commands, one after the other
store() { while read -r line; do one "$line" || return; done <"$1"; }
# view [HOST]: what the agent of a member gets: without GUIDs, a line an object, in an order of its own
view() { "$builddir/ipsecpol" --config "$view_conf" show policy --directory "$view_uri" --computer "${1:-HOST1}" 2>&1 | plain_view; }
plain_view() {
	sed 's/{[0-9a-f-]*}/{}/g; /^	\(dn\|instance\|changed\) /d' |
		awk '/^\t/ { printf " |%s", substr($0, 2); next } { printf "%s%s", (NR > 1 ? "\n" : ""), $0 } END { print "" }' | sort
}
# assembles: there is a whole policy
assembles() { view | grep -q '^policy {} |name'; }
# assigned [HOST]: "assigned NAME", "none", "unknown"
assigned() {
	"$builddir/ipsecpol" --config "$view_conf" show rsop --directory "$view_uri" --computer "${1:-HOST1}" --json | python3 -c '
import json, sys
v = json.load(sys.stdin)
print(v["assignment"], v["policy"]["name"] if v["policy"] else "")' | sed 's/ $//'
}
same_lines() { if cmp -s "$2" "$3"; then ok "$1"; else bad "$1" "$(diff "$2" "$3")"; fi; }
# all of the container, as LDIF
dump_slapd() { ldapsearch -LLL -o ldif-wrap=no -Q -Y EXTERNAL -H "$ldapi" -b "$ipsec" 2>/dev/null; }
dump_samba() { ldbsearch -H "$D/dc/private/sam.ldb" -b "$ipsec" 2>/dev/null; }
objects() { $dump | grep -ciE '^dn: cn=ipsec(Policy|NFA|Filter|NegotiationPolicy|ISAKMPPolicy)\{'; }
refs() { $dump | python3 "$srcdir/tests/lib/refs.py" "$1"; }

cat >"$T/lab" <<'EOF'
add filter filterlist=Web srcaddr=any dstaddr=me protocol=TCP dstport=80 description="plain"
add filter filterlist=Web srcaddr=any dstaddr=me protocol=TCP dstport=443
add filterlist name=Intern description="our nets"
add filter filterlist=Intern srcaddr=me dstaddr=10.0.0.0 dstmask=8
add filteraction name=Allow action=permit
add filteraction name=Deny action=block
add filteraction name=Secure action=negotiate inpass=yes qmsecmethods="ESP[3DES,SHA1]:100000k/2000s"
add policy name="Lab servers" description="of the lab" activatedefaultrule=no pollinginterval=30
add rule name=web policy="Lab servers" filterlist=Web filteraction=Allow
add rule name=rest policy="Lab servers" filterlist=Intern filteraction=Secure psk="a secret" kerberos=yes
EOF
cat >"$T/lab.view" <<'EOF'
action {} |name "" |kind negotiate |inpass no |soft no |pfs no |default-response yes |offer esp 3des sha1 lifetime 0 kbytes 0 |offer esp 3des md5 lifetime 0 kbytes 0 |offer esp des sha1 lifetime 0 kbytes 0 |offer esp des md5 lifetime 0 kbytes 0 |offer ah sha1 lifetime 0 kbytes 0 |offer ah md5 lifetime 0 kbytes 0
action {} |name "Allow" |kind permit |inpass no |soft no |pfs no |default-response no
action {} |name "Secure" |kind negotiate |inpass yes |soft no |pfs no |default-response no |offer esp 3des sha1 lifetime 2000 kbytes 100000
end
filter-list {} |name "Intern" |description "our nets" |filter {} me -> 10.0.0.0/8 protocol any mirrored
filter-list {} |name "Web" |filter {} any -> me port 80 protocol tcp mirrored |	description "plain" |filter {} any -> me port 443 protocol tcp mirrored
ipsecpol policy 1
main-mode {} |master-pfs no |map-account no |exclude-ca no |quick-modes 0 |lifetime 0 |offer 3des sha1 group 2 lifetime 28800 kbytes 0 quick-modes 0 |offer 3des md5 group 2 lifetime 28800 kbytes 0 quick-modes 0
policy {} |name "Lab servers" |description "of the lab" |polling 1800
rule {} |name "" |active no |connections all |tunnel none |auth kerberos |filter-list none |action {} ""
rule {} |name "rest" |active yes |connections all |tunnel none |auth preshared-key *** |auth kerberos |filter-list {} "Intern" |action {} "Secure"
rule {} |name "web" |active yes |connections all |tunnel none |auth kerberos |filter-list {} "Web" |action {} "Allow"
EOF

# Bytes too many to send the old value with the new one, and values that somebody else changes.
single_changes() {
	x="CN=ipsecFilter{11111111-0000-0000-0000-000000000001},$ipsec"
	cn="cn ipsecFilter{11111111-0000-0000-0000-000000000001}"
	for f in a b big big2; do
		case $f in big*) head -c 10000000 /dev/urandom >"$T/$f" ;; *) head -c 100 /dev/urandom >"$T/$f" ;; esac
	done
	same "an object is added" "" "$(edit add "$x" ipsecFilter $cn ipsecName x ipsecData "@$T/a")"
	has "... but once" "busy '$x' was changed by somebody else: it exists by now" "$(edit add "$x" ipsecFilter $cn)"
	same "bytes are replaced" "" "$(edit change "$x" ipsecData "@$T/a" "@$T/b")"
	has "bytes that are not what they were are not" "busy '$x' was changed by somebody else: ipsecData" "$(edit change "$x" ipsecData "@$T/a" "@$T/b")"
	has "nor is a value put beside another" "busy" "$(edit change "$x" ipsecName - y)"
	has "nor taken away" "busy" "$(edit change "$x" ipsecName y -)"
	same "10 MB" "" "$(edit change "$x" ipsecData "@$T/b" "@$T/big")"
	same "10 MB by 10 MB" "" "$(edit change "$x" ipsecData "@$T/big" "@$T/big2")"
	has "... that are not what they were" "busy" "$(edit change "$x" ipsecData "@$T/big" "@$T/big2")"
	has "a value that the server does not take" "format $uri: change '$x': Object class violation" "$(edit change "$x" gPLink - x)"
	same "an object is deleted" "" "$(edit delete "$x")"
	has "... but once" "absent '$x' does not exist" "$(edit delete "$x")"
	has "changed it cannot be" "busy '$x' was changed by somebody else: it does not exist any more" "$(edit change "$x" ipsecName x y)"
}

# many NAME N COMMAND...: so many processes at once, each with its number
many() { many_n=$1; shift; for p in $(seq "$many_n"); do "$@" "$p" & many_pids="${many_pids:-} $!"; done; wait $many_pids; many_pids=; }
# until it is done: after five defeats a session gives up
insist() {
	for tried in $(seq 20); do
		said=$(one "$1") && return
		case $said in *"tried 5 times"*) ;; *) echo "$said"; return ;; esac
	done
	echo "never: $said"
}
add_filters() { for i in $(seq "$per"); do insist "add filter filterlist=Web srcaddr=any dstaddr=me protocol=UDP dstport=$((1000 * $1 + i))" "$1"; done; }
add_rules() {
	for i in $(seq "$per"); do
		insist "add filter filterlist=\"List $1.$i\" srcaddr=me dstaddr=10.$1.$i.1" "$1"
		insist "add rule name=\"r$1.$i\" policy=\"Lab servers\" filterlist=\"List $1.$i\" filteraction=Allow" "$1"
	done
}
# at_once PROCESSES PER: edits of one store by several, and what is there then
at_once() {
	per=$2
	before=$(objects)
	many "$1" add_filters >"$T/at_once"
	many "$1" add_rules >>"$T/at_once"
	same "$1 editors at once: no errors" "" "$(cat "$T/at_once")"
	same "... no filter is lost" $(($1 * $2)) "$(view | grep '^filter-list {} |name "Web"' | grep -o 'protocol udp' | wc -l)"
	same "... no rule is lost" $(($1 * $2)) "$(view | grep -c '^rule {} |name "r[0-9]')"
	same "... nothing is left over" $((before + 2 * $1 * $2)) "$(objects)"
	same "... references agree both ways" "1 $(($1 * $2 + 3)) $(($1 * $2 + 2)) 3" "$(refs "Lab servers")"
	view | grep '^rule {} |name "r[0-9]' | sed 's/.*name "\(r[0-9.]*\)".*/\1/' | while read -r r; do
		echo "delete rule name=$r policy=\"Lab servers\""; echo "delete filterlist name=\"List ${r#r}\""
	done >"$T/clean"
	same "they are deleted again, all at once" "" "$(batch "$T/clean")"
	same "... and gone" "$before" "$(objects)"
}
# use_or_delete TIMES: one uses a list while another one deletes it
use_or_delete() {
	used=0 deleted=0 neither=0
	for i in $(seq "$1"); do
		one "add filter filterlist=Race srcaddr=me dstaddr=10.9.9.9" >/dev/null
		one "delete filterlist name=Race" >/dev/null &
		d=$!
		one "add rule name=race policy=\"Lab servers\" filterlist=Race filteraction=Allow" >/dev/null
		u=$?
		wait $d; d=$?
		assembles || { bad "use against delete, round $i: use $u, delete $d" "$(view)"; return; }
		case $u$d in 01) used=$((used + 1)) ;; 10) deleted=$((deleted + 1)) ;; 11) neither=$((neither + 1)) ;;
		*) bad "use against delete, round $i: both succeeded" "$(view)"; return ;; esac
		[ $u = 1 ] || one "delete rule name=race policy=\"Lab servers\"" >/dev/null
		one "delete filterlist name=Race" >/dev/null
	done
	ok "use against delete, $1 rounds: used $used, deleted $deleted, neither $neither"
}
# assign_or_not TIMES GPO: one assigns while another one unassigns
assign_or_not() {
	for i in $(seq "$1"); do
		one "set policy name=\"Lab servers\" assign=no gponame=\"$2\"" >/dev/null &
		one "set policy name=\"Lab servers\" assign=yes gponame=\"$2\"" >"$T/assign"
		wait $!
		case $(edit assigned "$2") in none|*Policy\{*) ;; *) bad "assign against unassign" "$(cat "$T/assign")"; return ;; esac
		case $(assigned) in unknown*) bad "assign against unassign, round $i: dangling" "$($dump)"; return ;; esac
	done
	one "set policy name=\"Lab servers\" assign=yes gponame=\"$2\"" >/dev/null
	ok "assign against unassign, $1 rounds"
}

# written GPO: the same on both
written() {
	same "lists, actions, a policy and rules are written" "" "$(store "$T/lab")"
	same "... with references both ways" "1 3 2 3" "$(refs "Lab servers")"
	was=$(assigned)
	has "assigned to a GPO that there is not" "there is no GPO 'nowhere'" "$(one 'set policy name="Lab servers" assign=yes gponame=nowhere')"
	same "... nothing changed" "$was" "$(assigned)"
	same "assigned to $1" "" "$(one "set policy name=\"Lab servers\" assign=yes gponame=\"$1\"")"
	same "a member gets it" "assigned Lab servers" "$(assigned)"
	view >"$T/view"
	same_lines "... as it was written" "$T/lab.view" "$T/view"
	has "what is assigned cannot be deleted" "is assigned by GPO '$1': unassign it first" "$(one 'delete policy name="Lab servers"')"
	has "what is in use neither" "in use by" "$(one 'delete filterlist name=Web')"
	same "... nothing changed" "1 3 2 3" "$(refs "Lab servers")"
}

# ==== OpenLDAP ====================================================================
mkdir "$S"
python3 "$srcdir/tests/lib/slapd_data.py" /usr/share/samba/setup/provision.ldif | sed '/^--$/,$d' >"$T/all.ldif"
# Without unused lists, and without the container and what is above it.
awk 'BEGIN { RS = ""; ORS = "\n\n" } !/CN=ipsecFilter\{0000/ && !/^dn: [^\n]*CN=System/' "$T/all.ldif" >"$T/bare.ldif"
awk 'BEGIN { RS = ""; ORS = "\n\n" } !/CN=ipsecFilter\{0000/' "$T/all.ldif" >"$T/data.ldif"
printf '[directory]\nuri = %s\ndomain = corp.example\ncomputer = HOST1\nbind = external\n' "$ldapi" >"$T/slapd.conf"
# The same commands on the local store give the same policy: what the boot image holds of it.
mkdir -m 700 "$T/local"
printf '[directory]\nuri = ldif:/nowhere\ncomputer = HOST1\n[daemon]\nstate-dir = %s\nrun-dir = %s\n' "$T/local" "$T/local" >"$T/local.conf"
same "the local store takes the same commands" "" "$({ echo "pushd ipsec static"; cat "$T/lab"
	echo 'set policy name="Lab servers" assign=yes'; } | "$builddir/ipsecpol" --config "$T/local.conf" exec - 2>&1)"
sed -n '/^part local /,/^end$/p' "$T/local/boot.image" | sed '1d; s/preshared-key "a secret"/preshared-key ***/' | plain_view >"$T/got"
same_lines "... and holds the same policy" "$T/lab.view" "$T/got"

conf=$T/slapd.conf uri=$ldapi view_conf=$conf view_uri=$ldapi dump=dump_slapd
check "slapd without a container" slapd_init "$S" "$T/bare.ldif"
slapd_start "$S" || { echo "0 passed, 1 failed"; exit 1; }
has "no CN=System: said so" "'CN=System,dc=corp,dc=example' does not exist" "$(store "$T/lab" | sed 's/CN=System,DC=corp,DC=example/CN=System,dc=corp,dc=example/')"
edit add "CN=System,$base" container cn System
same "the container is made with the first object" "" "$(store "$T/lab")"
same "... and holds what was written" "1 3 2 3" "$(refs "Lab servers")"
slapd_stop "$S"; rm -rf "$S"; mkdir "$S"

check "slapd: schema and data load" slapd_init "$S" "$T/data.ldif"
slapd_start "$S" || { echo "0 passed, 1 failed"; exit 1; }
same "before" "assigned Client (Respond Only)" "$(assigned)"
g1="cn={AAAAAAAA-0000-0000-0000-000000000001},cn=Policies,cn=System,dc=corp,dc=example"
gpo() { ldapsearch -LLL -o ldif-wrap=no -Q -Y EXTERNAL -H "$ldapi" -b "$g1" -s base versionNumber gPCMachineExtensionNames | sed '1d;/^$/d'; }
written "domain respond"
same "the GPO: version and extension" "versionNumber: 2 gPCMachineExtensionNames: $cse" "$(gpo | sort -r | tr '\n' ' ' | sed 's/ $//')"
single_changes
has "a file is not edited" "ldif:$T/data.ldif is a file: only a server" "$(uri=ldif:$T/data.ldif; one 'add filterlist name=x')"
printf '[directory]\nuri = ldaps://127.0.0.1\ncomputer = HOST1\nbind = external\ntls-ca = %s/ca.pem\ntls-cert = %s/host1.pem\ntls-key = %s/host1.key\n' "$S" "$S" "$S" >"$T/cert.conf"
has "this host's certificate is not for editing" "unsupported ldaps://127.0.0.1: bind = external is this host's certificate" \
	"$(conf=$T/cert.conf; uri=ldaps://127.0.0.1; edit load)"
at_once 3 5
use_or_delete 12
assign_or_not 8 "domain respond"

# ---- an editor that is killed after each of its writes
slapd_stop "$S"; cp -a "$S/db" "$T/db"; slapd_start "$S"
reset() { slapd_stop "$S"; rm -rf "$S/db"; cp -a "$T/db" "$S/db"; slapd_start "$S"; }
# killed NAME run|batch FILE: what is left is what was there before or after one of the commands
killed() {
	rm -rf "$T/states"; mkdir "$T/states"
	view | md5sum >"$T/states/0"
	i=0
	while read -r l; do
		i=$((i + 1)); said=$(one "$l" </dev/null) || bad "$1: $l" "$said"
		view | md5sum >"$T/states/$i"
	done <"$3"
	for i in $(seq 200); do
		reset
		rm -f "$T/kill"; : >"$T/kill.out"
		python3 "$srcdir/tests/lib/ldapi_kill.py" "$T/kill" "$S/ldapi" $i >"$T/kill.out" &
		k=$!
		until grep -q ready "$T/kill.out"; do sleep 0.02; done
		(uri="ldapi://$(echo "$T/kill" | sed s,/,%2F,g)"; edit "$2" "$3") >"$T/killed" 2>&1
		wait $k
		grep -q killed "$T/kill.out" || break
		view >"$T/view"
		if [ "$2" = batch ]; then
			assembles || { bad "$1: killed after write $i" "$(cat "$T/view")"; return; }
		else
			md5sum <"$T/view" | cat - "$T"/states/* | sort | uniq -d | grep -q . || { bad "$1: killed after write $i" "$(cat "$T/view")"; return; }
		fi
	done
	view | md5sum | cmp -s - "$T/states/$(grep -c . "$3")" || bad "$1: not killed" "$(cat "$T/killed"; view)"
	[ $i -gt 3 ] && ok "$1: killed after each of $((i - 1)) writes, old or new" || bad "$1: only $i writes" "$(cat "$T/killed")"
}
cat >"$T/edits" <<'EOF'
add filter filterlist=Web srcaddr=any dstaddr=me protocol=UDP dstport=53
add rule name=out policy="Lab servers" filterlist=Intern filteraction=Deny
set filteraction name=Allow action=block
set policy name="Lab servers" pollinginterval=60 description="changed"
delete rule name=rest policy="Lab servers"
delete rule name=out policy="Lab servers"
delete filterlist name=Intern
EOF
killed "commands" run "$T/edits"
reset
killed "commands written together" batch "$T/edits"
cat >"$T/edits" <<'EOF'
set policy name="Lab servers" assign=no gponame="domain respond"
set policy name="Client (Respond Only)" assign=yes gponame="domain respond"
set policy name="Lab servers" assign=yes gponame="domain respond"
set policy name="Lab servers" assign=no gponame="domain respond"
delete policy name="Lab servers"
EOF
reset
killed "assignments" run "$T/edits"
same "unassigned: nothing is left of it in the GPO" "versionNumber: 10" "$(gpo | sed 's/versionNumber: .*/versionNumber: 10/')"
same "none" none "$(assigned)"
slapd_stop "$S"

# ==== Samba AD DC =================================================================
mkdir -m 711 "$D"
check "a domain is provisioned or unpacked" samba_init "$D"
samba_client "$D"
samba_start "$D" || { echo "0 passed, 1 failed"; exit 1; }
check "keytab" samba_keytab "$D" "$T/host.keytab"
# Root could use the machine's key.
printf '[directory]\nuri = ldap:///\ndomain = corp.example\ncomputer = HOST1\nkeytab = %s\n' "$T/host.keytab" >"$T/samba.conf"
conf=$T/samba.conf uri=ldap://dc1.corp.example view_conf=$conf view_uri=$uri dump=dump_samba
export KRB5CCNAME="FILE:$T/cc"
same "no ticket: said so, once for all servers" "denied no Kerberos ticket: run kinit as somebody who may edit the policies of the domain" "$(uri=ldap:///; edit load)"
samba-tool user create helpdesk Passw0rd.2 -s "$D/dc/etc/smb.conf" >/dev/null 2>&1
echo Passw0rd.2 | kinit helpdesk >/dev/null 2>&1
$dump | grep -vi '^#' >"$T/before"
has "who may only read: denied" "no right to add" "$(store "$T/lab")"
has "... the object is named" "CN=ipsecFilter{" "$(store "$T/lab")"
has "... also a GPO" "GPO 'servers': no right to" "$(one 'set policy name="Client (Respond Only)" assign=yes gponame=servers')"
has "... also for deleting" "denied no right to delete" "$(edit delete "CN=ipsecPolicy{7238523C-70FA-11D1-864C-14A300000000},$ipsec")"
$dump | grep -vi '^#' >"$T/after"
same_lines "... nothing changed" "$T/before" "$T/after"
samba_seed "$D" ipsec-acl off
has "who may not read it: denied, not empty" "may not be read" "$(edit load)"
samba_seed "$D" ipsec-acl on
echo Passw0rd.1 | kinit Administrator >/dev/null 2>&1
has "the administrator: the domain and its server" "domain corp.example (ldap://dc1.corp.example)" "$(uri=ldap:///; edit load)"
same "before" "assigned Server (Request Security)" "$(assigned)"
written servers
same "unassigned" "" "$(one 'set policy name="Lab servers" assign=no gponame=SERVERS' | grep -v '24 hours')"
hasnot "a member has another one" "Lab servers" "$(assigned)"
same "assigned to a GPO without anything, by its GUID" "" "$(one 'set policy name="Lab servers" assign=yes gponame={aaaaaaaa-0000-0000-0000-000000000008}')"
g8="CN={AAAAAAAA-0000-0000-0000-000000000008},CN=Policies,CN=System,$base"
has "... what was missing is made" "CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,$g8" "$(ldbsearch -H "$D/dc/private/sam.ldb" -b "$g8" '(ipsecName=Lab servers)' dn 2>/dev/null)"
same "... its extension and version" "gPCMachineExtensionNames: $cse versionNumber: 2" "$(ldbsearch -H "$D/dc/private/sam.ldb" -b "$g8" -s base \
	gPCMachineExtensionNames versionNumber 2>/dev/null | sed ':a;N;$!ba;s/\n //g' | grep -iE '^(gpcm|vers)' | sort | tr '\n' ' ' | sed 's/ $//')"
same "assigned again to the first one" "" "$(one 'set policy name="Lab servers" assign=yes gponame=servers')"
has "both are named" "Lab servers" "$(assigned)"
same "GPOs that assign it" "nothing of IPsec servers" "$(edit users "$($dump | awk 'BEGIN { RS = "" } /ipsecName: Lab servers/' | sed -n 's/^dn: //p')" | sort | tr '\n' ' ' | sed 's/ $//')"
single_changes
x="CN=ipsecFilter{11111111-0000-0000-0000-000000000002},$ipsec"
has "a reference to what is gone" "busy" "$(edit add "$x" ipsecFilter ipsecOwnersReference "CN=gone,$ipsec")"
at_once 2 3
use_or_delete 4
assign_or_not 4 servers

# ---- GPOs that are not as they should be
edit change "$g8" displayName "nothing of IPsec" "servers" >/dev/null
has "a name that two GPOs have" "2 GPOs have the name 'servers': say which by its GUID: {AAAAAAAA" "$(one 'set policy name="Lab servers" assign=no gponame=servers')"
# A backup tells them apart by their GUIDs.
client='name="Client (Respond Only)"' g8id='{AAAAAAAA-0000-0000-0000-000000000008}'
other=$(ldbsearch -H "$D/dc/private/sam.ldb" -b "CN=Policies,CN=System,$base" '(displayName=servers)' cn 2>/dev/null | sed -n 's/^cn: //p' | grep -vi "$g8id")
both() { for g in "$g8id" "$other"; do edit assigned "$g" | sed 's/^none.*/none/; s/^CN=ipsecPolicy{72385236.*/client/I' ; done | tr '\n' ' '; }
for g in "$g8id" "$other"; do one "set policy $client assign=yes gponame=$g" >/dev/null; done
same "two GPOs of one name assign it" "client client " "$(both)"
has "... both are in a backup" " assignments written to" "$(one "exportpolicy file=$T/backup.ldif assignments=yes")"
for g in "$g8id" "$other"; do one "set policy $client assign=no gponame=$g" >/dev/null; done
same "... unassigned" "none none " "$(both)"
sed ":a;N;\$!ba;s/\n //g;s/$g8id/{BBBBBBBB-0000-0000-0000-000000000008}/Ig" "$T/backup.ldif" >"$T/gone.ldif"
one "importpolicy file=$T/gone.ldif assignments=yes" >"$T/said"
same "a GPO of the backup is gone: exit status 1" 1 "$?"
has "... it is named" "imported, but GPO 'servers' {BBBBBBBB-0000-0000-0000-000000000008} does not exist any more" "$(cat "$T/said")"
same "... the other one is restored" "none client " "$(both)"
one "importpolicy file=$T/backup.ldif assignments=yes" >/dev/null
same "both are restored" "client client " "$(both)"
edit change "$g8" displayName "servers" "nothing of IPsec" >/dev/null
edit change "$g8" gPCMachineExtensionNames "$cse" "[{nonsense}]" >/dev/null
has "extensions that cannot be understood" "gPCMachineExtensionNames" "$(one 'set policy name="Client (Respond Only)" assign=yes gponame="nothing of IPsec"')"
same "... are left as they are" "[{nonsense}]" "$(ldbsearch -H "$D/dc/private/sam.ldb" -b "$g8" -s base gPCMachineExtensionNames 2>/dev/null | sed -n 's/^gPCM.*: //p')"
samba_stop "$D"
has "nobody there" "offline" "$(edit load)"
finish
