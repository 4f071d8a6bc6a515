#!/bin/sh
# Refreshes that read only what has changed, on OpenLDAP and on Samba AD: from memory they find what full
# reads find, whatever is edited in between.
. "${srcdir:?}/tests/lib/alone.sh"
. "$srcdir/tests/lib/check.sh"
. "$srcdir/tests/lib/slapd.sh"
. "$srcdir/tests/lib/samba.sh"
for p in slapd ldapadd openssl samba samba-tool ldbmodify zstd python3; do
	command -v $p >/dev/null || { echo "SKIP: $p is not installed"; echo "0 passed, 1 failed"; exit 1; }
done
mount -t tmpfs -o mode=755 none /run
T=$(mktemp -d /tmp/ipsecpol-memory.XXXXXX) && chmod 755 "$T" || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM HUP
install -m 755 "$builddir/ipsecpol-worker" "$T/"
seed=${SEED:-20261123}
ipsec="CN=IP Security,CN=System,DC=corp,DC=example"
"$builddir/tests/policy_ldif" "$srcdir/tests/data/keys.policy" "$ipsec" | python3 "$srcdir/tests/lib/order.py" >"$T/keys.ldif" || exit 1
cost() { part cost | head -1; }
requests() { part cost | sed -n 's/^requests //p'; }

# next: a refresh with what the last one left; forgetful: in full, and nothing is kept of it
next() {
	ask_fds="$fds 6<\"$T/hints\" 7<\"$T/memory\""
	ask "$@" --hints-fd 6 --memory-fd 7
	part hints >"$T/hints"
	# The line end behind a part is not its own.
	if grep -q '^part memory ' "$T/out"; then part memory | sed '$d' >"$T/memory"; fi
}
forgetful() { ask_fds="$fds 6<\"$T/hints\" 7</dev/null"; ask "$@" --hints-fd 6 --memory-fd 7; }

# steps WHAT CHANGE [ARGUMENT...]: from a cold read to one that reads nothing; then of one change, and in full
# again.  CHANGE changes one filter list; arguments are the worker's.
steps() {
	what=$1 change=$2; shift 2
	: >"$T/hints"; : >"$T/memory"
	next "$@"; next "$@"; next "$@"
	same "$what: a policy" assigned "$(part assignment)"
	unchanged=$(requests)
	next "$@"
	has "$what: nothing changed, nothing is read" "objects 0 read " "$(cost)"
	same "$what: ... and there is nothing new to remember" "" "$(grep '^part memory ' "$T/out")"
	same "$what: ... with as many questions" "$unchanged" "$(requests)"
	part policy >"$T/before"
	check "$what: a filter list changes" $change
	next "$@"
	has "$what: one object is read" "objects 1 read " "$(cost)"
	same "$what: ... with one question more" $((unchanged + 1)) "$(requests)"
	part policy >"$T/changed"
	check "$what: ... and the policy is another one" sh -c '! cmp -s "$0" "$1"' "$T/before" "$T/changed"
	forgetful "$@"
	has "$what: a full read takes nothing from memory" " 0 kept" "$(cost)"
	part policy >"$T/full"
	check "$what: ... and finds the same" cmp "$T/full" "$T/changed"
	next "$@"
	has "$what: and again nothing is read" "objects 0 read " "$(cost)"
	echo "$what: $(part cost | tr '\n' ' ')"
}
list="CN=ipsecFilter{7238523A-70FA-11D1-864C-14A300000000},$ipsec"

# ---- OpenLDAP
ip link set lo up
S=$T/slapd slapd_addr=127.0.0.1
python3 "$srcdir/tests/lib/slapd_data.py" /usr/share/samba/setup/provision.ldif >"$T/all.ldif" || exit 1
sed '/^--$/,$d' "$T/all.ldif" >"$T/data.ldif"
sed '1,/^--$/d' "$T/all.ldif" >"$T/groups.ldif"
check "slapd: schema and data load" slapd_init "$S" "$T/data.ldif" "$T/keys.ldif"
slapd_start "$S" || { echo "0 passed, 1 failed"; exit 1; }
ldapi=$(slapd_ldapi "$S")
check "slapd: groups are added" ldapadd -Q -Y EXTERNAL -H "$ldapi" -f "$T/groups.ldif"
printf '[directory]\nuri = %s\ncomputer = HOST1$\nbind = external\n' "$ldapi" >"$T/conf"
fds=
rename_slapd() { printf 'dn: %s\nchangetype: modify\nreplace: ipsecName\nipsecName: %s\n' "$list" "$1" | ldapmodify -Q -Y EXTERNAL -H "$ldapi"; }
steps slapd "rename_slapd new"
check "slapd: memory of what nobody wrote is of no use, and does no harm" sh -c 'printf "ipsecpol memory 1\nldap x\ndn: \n" >"$0"' "$T/memory"
next
same "slapd: ... everything is read" "0 kept" "$(cost | sed 's/.*read //')"
check "slapd: at random" python3 "$srcdir/tests/lib/random_edits.py" "$builddir/ipsecpol-worker" "$T/conf" "${ROUNDS:-60}" "$seed" "" \
	"$T/keys.ldif" ldapmodify -Q -Y EXTERNAL -H "$ldapi"
tail -1 "$T/check.out"
slapd_stop "$S"

# ---- Samba AD
D=$T/domain
mkdir -m 711 "$D"
check "samba: a domain is provisioned or unpacked" samba_init "$D"
samba_net 10.77.0.50
samba_client "$D"
samba_start "$D" || { echo "0 passed, 1 failed"; exit 1; }
check "samba: keytab" samba_keytab "$D" "$T/all.keytab"
sam() { ldb=$1; shift; "ldb$ldb" -H "$D/dc/private/sam.ldb" "$@"; }
check "samba: a policy with keys is added" sam add "$T/keys.ldif"
printf '[directory]\nuri = ldap:///\ndomain = corp.example\ncomputer = HOST1\n' >"$T/conf"
fds="8<\"$T/all.keytab\""
rename_samba() { printf 'dn: %s\nchangetype: modify\nreplace: ipsecName\nipsecName: %s\n' "$list" "$1" | sam modify; }
steps samba "rename_samba new" --keytab-fd 8 --site Default-First-Site-Name
check "samba: at random" python3 "$srcdir/tests/lib/random_edits.py" "$builddir/ipsecpol-worker" "$T/conf" "${ROUNDS:-40}" "$seed" "$T/all.keytab" \
	"$T/keys.ldif" ldbmodify -H "$D/dc/private/sam.ldb"
tail -1 "$T/check.out"
samba_stop "$D"
finish
