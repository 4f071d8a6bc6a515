#!/bin/sh
# A real charon: what we load is what it lists, in both ways of telling it; nothing of others' is touched, and no key is to be
# seen anywhere.
. "${srcdir:?}/tests/lib/alone.sh"
. "$srcdir/tests/lib/check.sh"
. "$srcdir/tests/lib/charon.sh"
T=$(mktemp -d /tmp/ipsecpol-test.XXXXXX)
c=$T/charon
mkdir "$c"
trap 'charon_kill "$c"; rm -rf "$T"' EXIT
ip link set lo up
tool() { "$builddir/tests/vicitool" "$c/charon.vici" "$@"; }
listed() { tool list list-conns list-conn; }
key=$("$builddir/tests/vicitool" - key)

charon_there || { echo "SKIP: strongSwan's charon-systemd and swanctl are not installed"; echo "0 passed, 1 failed"; exit 1; }
check "charon starts" charon_start "$c"
has "its version" "version = 5." "$(tool version)"
has "a command that it does not know" "knows no command 'bogus'" "$(tool bogus 2>&1)"
has "an event that it does not know" "knows no event 'bogus'" "$(tool list list-conns bogus 2>&1)"

# ---- others' ----
cat >"$c/swanctl/swanctl.conf" <<'EOF'
connections { theirs { remote_addrs = 192.0.2.1
  local { auth = psk }
  remote { auth = psk }
  children { a { start_action = trap } } } }
secrets { ike-theirs { secret = "theirs"
  id = 192.0.2.1 } }
EOF
check "an administrator's connection" charon_swanctl "$c" --load-all
theirs=$(listed)
has "is there" theirs "$theirs"

# ---- loading ----
has "connections of all kinds" "60 of 60 as wanted, 1 others" "$(tool load 60 2>&1)"
has "again: no difference" "60 of 60 as wanted, 1 others" "$(tool load 60 2>&1)"
has "the key" ipsecpol-0011223344556677 "$(tool get-shared)"
out=$(tool wrong 2>&1); rc=$?
same "what charon rejects fails" 1 $rc
has "with charon's words" "invalid value for: proposals" "$out"
has "and the connection's name" "vicitool: ipsecpol-" "$out"
has "the others stay" "60 of 60 as wanted, 1 others" "$(tool check 60 2>&1)"
check "unloaded" tool unload 60
same "only theirs is left" "$theirs" "$(listed)"
has "and their key" ike-theirs "$(tool get-shared)"
hasnot "not ours" ipsecpol "$(tool get-shared)"
has "what is not there cannot be unloaded" "not found" "$(tool unload 1 2>&1)"
has "a thousand" "1000 of 1000 as wanted, 1 others" "$(tool load 1000 2>&1)"
same "are listed" 1000 "$(listed | grep -c '^ipsecpol-')"
hasnot "no key among what is listed" Sesame "$(listed; tool get-shared; tool stats; tool list list-policies list-policy)"

# What the service has to reckon with: swanctl unloads all that is not in its files.
check "an administrator loads his files again" charon_swanctl "$c" --load-all
same "ours are gone" "$theirs" "$(listed)"
hasnot "and our key" ipsecpol "$(tool get-shared)"

# ---- charon goes and comes ----
has "another connection for one of them" "as wanted" "$(tool load 1000 2>&1)"
charon_kill "$c"
has "nobody listens" "charon is not running" "$(tool version 2>&1)"
check "charon starts again" charon_start "$c"
has "and knows nothing" "some are missing" "$(tool check 3 2>&1)"
check "charon stops" charon_stop "$c"
has "nobody is there" "charon is not running" "$(tool version 2>&1)"
check "and starts" charon_start "$c"

# ---- the same as a file ----
tool load 60 >/dev/null && listed | sort >"$T/by-vici"
tool unload 60
same "nothing is left" "" "$(listed)"
"$builddir/tests/vicitool" - text 60 >"$c/swanctl/swanctl.conf"
hasnot "the file has the key, charon's log does not" Sesame "$(cat "$c/charon.log")"
has "the file has the key" Sesame "$(cat "$c/swanctl/swanctl.conf")"
check "swanctl loads it" charon_swanctl "$c" --load-all
has "and charon has what is wanted" "60 of 60 as wanted, 0 others" "$(tool check 60 2>&1)"
listed | sort >"$T/by-file"
check "all that charon lists is the same" cmp "$T/by-vici" "$T/by-file"
has "the key, too" ike-ipsecpol-0011223344556677 "$(tool get-shared)"
hasnot "and still no key in the log" Sesame "$(cat "$c/charon.log")"
has "the log has been written" "added vici connection: ipsecpol-" "$(cat "$c/charon.log")"
hasnot "in none of its words" "$key" "$(cat "$c/charon.log" "$c/charon.out")"
finish
