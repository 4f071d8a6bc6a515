#!/bin/sh
# Change notification on OpenLDAP (syncprov) and on Samba AD: a change in the directory reaches the kernel though
# the daemon polls after hours only; what ends a watcher, and what one may not say.
. "${srcdir:?}/tests/lib/alone.sh"
. "$srcdir/tests/lib/check.sh"
. "$srcdir/tests/lib/slapd.sh"
. "$srcdir/tests/lib/samba.sh"
for p in slapd ldapadd openssl samba samba-tool ldbmodify zstd python3 nft; do
	command -v $p >/dev/null || { echo "SKIP: $p is not installed"; echo "0 passed, 1 failed"; exit 1; }
done
mount -t tmpfs -o mode=755 none /run
T=$(mktemp -d /tmp/ipsecpol-watch.XXXXXX) && chmod 755 "$T" || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM HUP
install -m 755 "$builddir/ipsecpol-worker" "$T/"
ip link set lo up
ipsec="CN=IP Security,CN=System,DC=corp,DC=example"

# conf NOTIFY DIRECTORY-LINES: polling after hours
conf() {
	rm -rf "$T/state" "$T/run"; mkdir -m 700 "$T/state"; mkdir "$T/run"
	printf '[directory]\n%s\nconnect-timeout = 2\ntimeout = 5\n[policy]\nnotify = %s\nrefresh-interval = 48h\nrefresh-offset = 0s\n' "$2" "$1" >"$T/conf"
	printf '[daemon]\nstate-dir = %s\nrun-dir = %s\nworker = %s\nworker-user = nobody\n' "$T/state" "$T/run" "${3:-$T/ipsecpol-worker}" >>"$T/conf"
	chmod 644 "$T/conf"
}
cli() { "$builddir/ipsecpol" --config "$T/conf" "$@"; }
field() { cli status --json | python3 -c '
import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1].split("."): v = v[k]
print("" if v is None else v)' "$1"; }
start() {
	: >"$T/log"
	"$builddir/ipsecpold" --config "$T/conf" 2>>"$T/log" &
	daemon=$!
	for i in $(seq 100); do cli status >/dev/null 2>&1 && return; sleep 0.05; done
	cat "$T/log"; return 1
}
stop() { kill $daemon; wait $daemon 2>/dev/null; nft delete table inet ipsecpol 2>/dev/null; }
# until COMMAND...: within 30 s
until_() { for i in $(seq 300); do "$@" && return; sleep 0.1; done; echo "not within 30 s: $*"; cat "$T/log"; return 1; }
logged() { [ "$(grep -c "$2" "$T/log")" -ge "$1" ]; }
on="directory tells of changes" off="does not tell of changes"
in_kernel() { nft list table inet ipsecpol 2>/dev/null | grep -qF "$1"; }
watcher() { pgrep -P $daemon -f -- --watch; }

# told WHAT CHANGE...: CHANGE POLICY VERSION assigns another policy
told() {
	what=$1; shift
	check "$what: starts" start
	check "$what: a watcher tells that it watches" until_ logged 1 "$on"
	same "$what: the policy of before" "" "$(nft list table inet ipsecpol | grep -F "With keys")"
	same "$what: it is not root" "nobody" "$(ps -o user= -p "$(watcher)")"
	check "$what: another policy is assigned" "$@" $new 7
	check "$what: and the kernel has it" until_ in_kernel "With keys"
	same "$what: because the directory told" notified "$(field refresh.why)"
	kill -9 "$(watcher)"
	check "$what: the watcher is killed, and it is said so" until_ logged 1 "$off any more, polling goes on: watcher died of signal 9"
	check "$what: the first one is assigned again" "$@" $old 8
	check "$what: another watcher is started" until_ logged 2 "$on"
	check "$what: and what happened meanwhile is read" until_ in_kernel "Server (Request Security)"
	same "$what: one watcher" 1 "$(watcher | wc -l)"
}
# renamed WHAT COMMAND...: a change of a filter list alone; LDIF for COMMAND's input
renamed() {
	what=$1; shift
	check "$what: starts" start
	check "$what: watched" until_ logged 1 "$on"
	printf 'dn: CN=ipsecFilter{7238523A-70FA-11D1-864C-14A300000000},%s\nchangetype: modify\nreplace: ipsecName\nipsecName: changed\n' "$ipsec" >"$T/rename.ldif"
	check "$what: a filter list is changed" sh -c '"$@" <"$0"' "$T/rename.ldif" "$@"
	second() { [ "$(field enforced.generation)" = 2 ]; }
	check "$what: and read" until_ second
	same "$what: because the directory told" notified "$(field refresh.why)"
}

# ---- OpenLDAP
S=$T/slapd slapd_addr=127.0.0.1
"$builddir/tests/policy_ldif" "$srcdir/tests/data/keys.policy" "$ipsec" | python3 "$srcdir/tests/lib/order.py" >"$T/keys.ldif" || exit 1
assign() {
	printf 'dn: CN=IPSEC,CN=Windows,CN=Microsoft,CN=Machine,CN={AAAAAAAA-0000-0000-0000-000000000002},CN=Policies,CN=System,DC=corp,DC=example\n'
	printf 'changetype: modify\nreplace: ipsecOwnersReference\nipsecOwnersReference: CN=ipsecPolicy%s,%s\n\n' "$1" "$ipsec"
	printf 'dn: CN={AAAAAAAA-0000-0000-0000-000000000002},CN=Policies,CN=System,DC=corp,DC=example\nchangetype: modify\nreplace: versionNumber\nversionNumber: %s\n' "$2"
}
new='{4E750000-0000-4000-8000-000000000001}' old='{72385230-70FA-11D1-864C-14A300000000}'
python3 "$srcdir/tests/lib/slapd_data.py" /usr/share/samba/setup/provision.ldif >"$T/all.ldif" || exit 1
sed '/^--$/,$d' "$T/all.ldif" >"$T/data.ldif"
sed '1,/^--$/d' "$T/all.ldif" >"$T/groups.ldif"
slapd_overlay="overlay syncprov"
check "slapd: schema and data load" slapd_init "$S" "$T/data.ldif" "$T/keys.ldif"
slapd_start "$S" || { echo "0 passed, 1 failed"; exit 1; }
ldapi=$(slapd_ldapi "$S")
check "slapd: groups are added" ldapadd -Q -Y EXTERNAL -H "$ldapi" -f "$T/groups.ldif"
conf yes "uri = $ldapi
computer = HOST1
bind = external"
assign_slapd() { assign "$@" | ldapmodify -Q -Y EXTERNAL -H "$ldapi"; }
told slapd assign_slapd
slapd_stop "$S"
check "slapd: the server ends, and it is said so" until_ logged 2 "$off any more"
slapd_start "$S"
check "slapd: it is back, and watched" until_ logged 3 "$on"
sed -i 's/^notify = .*/notify = no/' "$T/conf"
kill -HUP $daemon
nobody() { ! watcher >/dev/null; }
check "slapd: notify = no: nobody watches" until_ nobody
stop
conf yes "uri = $ldapi
computer = HOST1
bind = external"
renamed slapd ldapmodify -Q -Y EXTERNAL -H "$ldapi"
stop
slapd_stop "$S"
slapd_overlay=; slapd_conf "$S"; slapd_start "$S"
conf yes "uri = $ldapi
computer = HOST1
bind = external"
check "slapd without syncprov: starts" start
check "slapd without syncprov: it is said so" until_ logged 1 "$off, polling goes on"
tail -1 "$T/log"
stop

# ---- watchers that are none
worker() { printf '#!/bin/sh\ncase " $* " in *" --watch "*) %s ;; esac\nexec %s "$@"\n' "$1" "$T/ipsecpol-worker" >"$T/fake"; chmod 755 "$T/fake"; }
fake() {
	worker "$2"
	conf yes "uri = $ldapi
computer = HOST1
bind = external" "$T/fake"
	check "a watcher that $1: starts" start
	check "... and is given up" until_ logged 1 "$3"
	same "... the daemon goes on" secure "$(field mode)"
	stop
}
fake "says nonsense" 'echo "WATCHING 1"; echo "DROP ALL"; sleep 100' "malformed line 'DROP ALL'"
fake "never ends a line" 'head -c 5000 /dev/zero | tr "\\0" x; sleep 100' "not a line"
fake "says nothing but zeros" 'head -c 5000 /dev/zero; sleep 100' "not a line"
fake "floods" 'echo "WATCHING 1"; yes CHANGED' "more than 30 lines in 10 seconds"
fake "ends at once" 'exit 3' "watcher ended with status 3"
fake "fails in its own words" 'echo "FAILED offline the server is tired"; exit 1' "the server is tired"
slapd_stop "$S"

# ---- Samba AD
D=$T/domain
mkdir -m 711 "$D"
check "samba: a domain is provisioned or unpacked" samba_init "$D"
samba_net 10.77.0.50
samba_client "$D"
samba_start "$D" || { echo "0 passed, 1 failed"; exit 1; }
check "samba: keytab" samba_keytab "$D" "$T/all.keytab"
chmod 600 "$T/all.keytab"
sam() { ldb=$1; shift; "ldb$ldb" -H "$D/dc/private/sam.ldb" "$@"; }
check "samba: a policy with keys is added" sam add "$T/keys.ldif"
conf yes "uri = ldap:///
domain = corp.example
computer = HOST1
keytab = $T/all.keytab"
assign_samba() { assign "$@" | sam modify; }
told samba assign_samba
hasnot "nothing of the keys in the log" "secret" "$(cat "$T/log")"
stop
conf yes "uri = ldap:///
domain = corp.example
computer = HOST1
keytab = $T/all.keytab"
renamed samba ldbmodify -H "$D/dc/private/sam.ldb"
stop
samba_stop "$D"
finish
