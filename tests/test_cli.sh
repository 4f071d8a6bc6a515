#!/bin/sh
# Bad input: one clear line that names place and cause, the right exit status, nothing changed.
set -u
. "${srcdir:?}/tests/lib/daemon.sh"
conf WEB1
in_ns nft 'table inet other { chain c { comment "stays"; }; }'
cli apply >/dev/null; save_table "$t/web"

# bad STATUS PATTERN ARGUMENT...
bad() {
	want=$1 pattern=$2; shift 2
	cli "$@" >"$t/stdout" 2>"$t/stderr"; rc=$?
	[ $rc = "$want" ] && grep -qE -- "$pattern" "$t/stderr" && [ "$(grep -c . "$t/stderr")" -le 2 ] && [ ! -s "$t/stdout" ] &&
		ok "'$*': $(head -1 "$t/stderr" | cut -c1-150)" ||
		{ fail "'$*': exit $rc (wanted $want), wanted like '$pattern'"; cat "$t/stderr" "$t/stdout" | head -5; }
}
in_ns "$builddir/ipsecpol" >"$t/out" 2>&1; [ $? = 64 ] && has Usage "$t/out" && ok "no command: usage" || fail "no command: usage"
bad 64 "no command 'frobnicate'" frobnicate
bad 64 "unexpected argument 'now'" status now
bad 64 "there is no option '--nonsense'" status --nonsense
bad 64 "needs a value" show rsop --directory
bad 64 "snapshot, rsop, policy, ruleset, spd, ike, facts or peers" show
bad 64 "takes no options" show peers --directory "ldif:$t/corp.ldif"
bad 64 "takes no options" show peers --computer WEB1
bad 64 "not 'rule'" show rule
bad 64 "unexpected argument 'x'" show rsop x
bad 64 "go with --directory" show rsop --computer WEB1
bad 1 "not running.*table inet ipsecpol is in the kernel" status
bad 1 "'show' with --directory works without it" show rsop
check "help" cli help
check "is the usage" has "^Usage: ipsecpol" "$t/out"
check "?" cli '?'
bad 1 "nothing: No such file" show rsop --directory "ldif:$t/nothing"
bad 1 "gopher" show rsop --directory gopher://x
bad 1 "WEB77" show rsop --directory "ldif:$t/corp.ldif" --computer WEB77
bad 1 "Nowhere" show rsop --directory "ldif:$t/corp.ldif" --site Nowhere
bad 1 "no-facts: No such file" show ruleset --directory "ldif:$t/corp.ldif" --facts "$t/no-facts"
printf 'dns 10.0.0.1\nrouter 10.0.0.2\n' >"$t/bad-facts"
bad 1 "bad-facts: line 2" show ruleset --directory "ldif:$t/corp.ldif" --facts "$t/bad-facts"
bad 1 "no policy is assigned to LAB1" show policy --directory "ldif:$t/corp.ldif" --computer LAB1

# ---- LDIF ----
ldif() { printf "$1" >"$t/bad.ldif"; bad 1 "bad.ldif.*$2" show rsop --directory "ldif:$t/bad.ldif"; }
ldif 'dn: DC=x\nobjectClass\n' 'line 2'
ldif 'dn: DC=x\nobjectClass:: !!!\n' 'line 2'
ldif 'dn: DC=x\njpegPhoto:< file:///etc/shadow\n' 'line 2'
ldif 'dn: DC=x\nchangetype: delete\n' 'line 2'
ldif ' folded\n' 'line 1'
ldif 'dn: DC=x\n\000\n' 'NUL|line 2'

# ---- configuration ----
# conf_bad PATTERN LINES
conf_bad() {
	printf "$2" >"$t/bad.conf"
	in_ns "$builddir/ipsecpol" --config "$t/bad.conf" status >"$t/stdout" 2>"$t/stderr"; rc=$?
	[ $rc = 1 ] && grep -qE -- "bad.conf:$1" "$t/stderr" && ok "configuration: $(cut -c1-150 "$t/stderr")" ||
		{ fail "configuration '$2': exit $rc, wanted like '$1'"; cat "$t/stderr"; }
	in_ns "$builddir/ipsecpold" --config "$t/bad.conf" >"$t/stdout" 2>&1 && fail "the daemon starts with it" || ok "the daemon refuses it too"
}
conf_bad "2.*colour" '[directory]\ncolour = blue\n'
conf_bad "1.*colours" '[colours]\nx = y\n'
conf_bad "2.*ipsecexempt.*4" '[enforcement]\nipsecexempt = 4\n'
conf_bad "2.*maybe" '[enforcement]\nlifeline = maybe\n'
conf_bad ".*bind-dn" '[directory]\nuri = ldap://dc1\nbind = simple\n'
conf_bad ".*clear" '[directory]\nuri = ldap://dc1\nbind = simple\nbind-dn = CN=x\nbind-password-file = /etc/hostname\n'
conf_bad "2.*refresh-interval" '[policy]\nrefresh-interval = soon\n'
conf_bad "2.*version.*3" '[ike]\nversion = 3\n'
conf_bad "2.*vici.*relative" '[ike]\nvici = relative\n'
conf_bad "2.*kerberos.*psk" '[ike]\nkerberos = psk\n'
conf_bad "2.*kerberos.*password" '[ike]\nkerberos = password /etc/key\n'
conf_bad "2.*weak-offers.*some" '[ike]\nweak-offers = some\n'
conf_bad "2.*account-mapping.*yes" '[ike]\naccount-mapping = yes\n'
conf_bad "2.*secret" '[ike]\nsecret = x\n'
in_ns "$builddir/ipsecpol" --config "$t/none.conf" status >/dev/null 2>"$t/stderr"; [ $? = 1 ] && has "none.conf" "$t/stderr" && ok "no such configuration" || fail "no such configuration"

# ---- help ----
for c in status refresh show plan apply stop; do
	check "$c --help" cli $c --help
	has "^Usage: ipsecpol $c" "$t/out" >/dev/null || fail "$c --help says how"
done
check "--version" cli --version
check "daemon --help" "$builddir/ipsecpold" --help
"$builddir/ipsecpold" --nonsense >/dev/null 2>&1; [ $? = 64 ] && ok "daemon: wrong option" || fail "daemon: wrong option"

# ---- without root ----
as_nobody() { in_ns setpriv --reuid=65534 --regid=65534 --clear-groups "$builddir/ipsecpol" --config "$t/conf" "$@"; }
[ "$(stat -c %a "$(dirname "$builddir")" 2>/dev/null | cut -c3)" = 0 ] || {
	check "show without root" as_nobody show rsop --directory "ldif:$t/corp.ldif"
	as_nobody plan --directory "ldif:$t/corp.ldif" >"$t/out" 2>&1; [ $? = 2 ] && ok "plan without root: exit 2" || fail "plan without root"
	check "and says what it compared with" has "without root" "$t/out"
	as_nobody apply --directory "ldif:$t/corp.ldif" >"$t/out" 2>&1; [ $? = 64 ] && ok "apply is for root" || fail "apply is for root"
}

# ---- a snapshot has no secrets, so it must not be applied ----
cat >"$t/psk.ldif" <"$srcdir/tests/cases/every-kind-of-filter/directory.ldif"
cli show snapshot --directory "ldif:$t/psk.ldif" --computer HOST1 >"$t/replay.ldif"
check "a snapshot can be used as a directory" cli show policy --directory "ldif:$t/replay.ldif" --computer HOST1
bad 1 "pre-shared key.*hidden" apply --directory "ldif:$t/replay.ldif" --computer HOST1
check_not "no secret in it" grep -rq "never be seen" "$t/replay.ldif"
echo "address 10.0.0.7" >"$t/facts"
for w in snapshot rsop policy ruleset spd ike; do
	for o in "" --json; do cli show $w $o --directory "ldif:$t/psk.ldif" --computer HOST1 --facts "$t/facts"; done >"$t/w" 2>&1
	python3 - "$t/w" <<'P' && ok "no key in show $w" || fail "the key is in show $w"
import base64, re, sys
s = open(sys.argv[1], 'rb').read()
key = 'This must never be seen'
blobs = [base64.b64decode(x + b'==', validate=False) for x in re.findall(rb'[A-Za-z0-9+/]{24,}', s.replace(b'\n ', b''))]
sys.exit(any(k in b for b in [s] + blobs for k in (key.encode(), key.encode('utf-16-le'))))
P
done
check "nothing has changed" table_is "$t/web"
check "the foreign table is there" in_ns nft list table inet other
summary
