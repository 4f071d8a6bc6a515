#!/bin/sh
# Peers of soft negotiation that have negotiated are held to it, whatever happens to addresses, policies and the
# service; a stop by hand leaves nothing, neither in the kernel nor in charon, also after the service was killed; own
# addresses talk to each other; keys are in no core.
. "${srcdir:?}/tests/lib/daemon.sh"
. "$srcdir/tests/lib/charon.sh"
charon_there || { echo "SKIP: strongSwan's charon-systemd and swanctl are not installed"; echo "0 passed, 1 failed"; exit 1; }
mkdir "$t/a"
finish_all() { charon_kill "$t/a"; finish; }
trap finish_all EXIT
in_ns ip link add v0 type veth peer name v1
in_ns ip link set v0 up; in_ns ip link set v1 up
in_ns ip addr add 10.9.0.1/24 dev v0
VICI=$t/a/charon.vici IKE="weak-offers = yes"
conf NOWHERE
cat >"$t/script" <<'X'
pushd ipsec static
add policy name=P assign=no
add filterlist name=F
add filter filterlist=F srcaddr=me dstaddr=10.9.0.0 dstmask=255.255.255.0 protocol=TCP dstport=7002 mirrored=yes
add filteraction name=S action=negotiate soft=yes qmsecmethods="ESP[3DES,SHA1]:1000k/900s"
add rule name=R policy=P filterlist=F filteraction=S psk="a secret key"
set policy name=P assign=yes
X
spd() { in_ns "$builddir/tests/spdtool" "$@"; }
pins() { spd pins | cut -d' ' -f1-14 >"$t/pins"; cat "$t/pins"; }
# until SECONDS COMMAND...
until_so() { n=$(($1 * 20)); shift; i=0; while [ $i -lt $n ]; do "$@" >"$t/tried" 2>&1 && return 0; sleep 0.05; i=$((i + 1)); done; cat "$t/tried"; return 1; }
n_pins() { [ "$(spd pins | wc -l)" = "$1" ]; }
n_soft() { [ "$(spd fetch | grep -c ' use ')" = "$1" ]; }
check "a policy that negotiates, and else passes in clear" cli exec "$t/script"
check "the service" start
check "has its policies in the kernel" until_so 5 n_soft 2
spd fetch | grep ' use ' | sed 's/ "[^"]*"$//' >"$t/soft"
spd pin "$t/soft" 10.9.0.7 600 >/dev/null
stop
check "the service is started anew" start
check "the pins stay" n_pins 2
pins >"$t/first"
in_ns ip addr del 10.9.0.1/24 dev v0
check "the address goes" until_so 5 n_soft 0
check "and the pins" n_pins 0
in_ns ip addr add 10.9.0.1/24 dev v0
check "it comes back" until_so 5 n_soft 2
pins >/dev/null
check "the peer is held as before" cmp "$t/pins" "$t/first"
in_ns ip addr add 10.9.0.2/24 dev v0
check "another address" until_so 5 n_soft 4
check "the peer is held with it, too" n_pins 4
in_ns ip xfrm policy flush
check "somebody flushes all policies" until_so 5 n_soft 4
check "the peer is held" n_pins 4
in_ns nft delete table inet ipsecpol
check "somebody removes the table" until_so 5 table
check "the peer is held" n_pins 4

# ---- by hand ----
vici() { in_ns "$builddir/tests/vicitool" "$t/a/charon.vici" "$@"; }
ours() { vici get-conns | grep -q ipsecpol-; }
check "charon" charon_start "$t/a" $ns
check "has the connection" until_so 30 ours
stop KILL
check "the service was killed: charon keeps it" ours
check "stop" cli stop
check "says so" has "no daemon is running" "$t/out"
check_not "charon has nothing any more" ours
check_not "no key either" sh -c "$builddir/tests/vicitool $t/a/charon.vici get-shared | grep ipsecpol-"
check "nothing is in the kernel" [ -z "$(spd fetch; spd pins)" ]
check "no table" no_table

# ---- between own addresses ----
cat >"$t/script" <<'X'
pushd ipsec static
add filterlist name=Every
add filter filterlist=Every srcaddr=me dstaddr=any mirrored=yes
add filteraction name=Required action=negotiate qmsecmethods="ESP[3DES,SHA1]:1000k/900s"
add rule name=Everything policy=P filterlist=Every filteraction=Required psk="a secret key"
X
in_ns ip -6 addr add 2001:db8::1/64 dev v0 nodad
in_ns ip -6 addr add 2001:db8:5::1/64 dev v1 nodad
check "all has to be protected" cli exec "$t/script"
check "the service" start
check "has IPv6 policies" until_so 5 sh -c "ip netns exec $ns $builddir/tests/spdtool fetch | grep -q '2001:db8:5::1/128 .* required'"
for pair in "10.9.0.1 10.9.0.2" "10.9.0.1 127.0.0.1" "2001:db8::1 2001:db8:5::1" "2001:db8::1 ::1" "::1 2001:db8::1"; do
	check "ping $pair" in_ns ping -c 1 -W 1 -I $pair
done
stop

# ---- what is in memory ----
cat >"$t/crash.py" <<'X'
import os, resource, signal, sys, time
pid = os.fork()
if not pid:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
    os.execv(sys.argv[1], [sys.argv[1], "--config", sys.argv[2]])
for i in range(200):
    if os.path.exists(sys.argv[3]):
        break
    time.sleep(0.05)
os.kill(pid, signal.SIGSEGV)
print("core", os.WCOREDUMP(os.waitpid(pid, 0)[1]))
X
rm -f "$t/run/ipsecpol.socket"
cd "$t" && in_ns python3 "$t/crash.py" "$builddir/ipsecpold" "$t/conf" "$t/run/ipsecpol.socket" >"$t/crash" 2>&1
check "keys are in no core" has "^core False" "$t/crash"
cli stop >/dev/null 2>&1
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
