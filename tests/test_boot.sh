#!/bin/sh
# Startup modes: `ipsecpold --boot`, the hand-over to the service, block mode when the persistent
# policy fails; and not one forbidden packet on the way, over 200 starts.
set -u
. "${srcdir:?}/tests/lib/daemon.sh"

peer=$ns-peer; more_ns=$peer
ip netns add $peer && ip -n $peer link set lo up
ip -n $ns link add eth0 type veth peer name eth0 netns $peer
ip -n $ns addr add 10.9.0.1/24 dev eth0; ip -n $peer addr add 10.9.0.2/24 dev eth0
ip -n $ns link set eth0 up; ip -n $peer link set eth0 up
# Behind our chains: what gets here was let through.
in_ns nft 'table inet witness { chain in { type filter hook input priority 10; udp dport 4001 counter comment "forbidden"; udp dport 4002 counter comment "allowed"; }; }'
got() { in_ns nft list table inet witness | sed -n "s/.*packets \([0-9]*\) .*\"$1\".*/\1/p"; }

cat >"$t/flood.py" <<'PY'
import socket, sys, time
s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
end = time.time() + float(sys.argv[1])
while time.time() < end:
    for port, k in ((4001, s[0]), (4002, s[1])):
        try: k.sendto(b"x", ("10.9.0.1", port))
        except OSError: pass
    time.sleep(0.0002)
PY
send() { ip netns exec $peer python3 "$t/flood.py" "$1"; }
boot() { in_ns "$builddir/ipsecpold" --config "$t/conf" --boot >"$t/boot.log" 2>&1; }
wipe() { in_ns nft delete table inet ipsecpol 2>/dev/null; rm -rf "$t/state"; mkdir -m 700 "$t/state"; }
# passes PORT-NAME: does it get through within a moment?
passes() { before=$(got "$1"); send 0.1; [ "$(got "$1")" -gt "$before" ]; }

# ---- which mode ----
conf NOPOLICY
check "boot: a new host starts in permit" boot
check "boot: without a table" no_table
check "boot: and says so" has "startup mode permit" "$t/boot.log"
check "bootmode can be set without the service" cli dynamic set config property=bootmode value=stateful
check "bootexemptions too" cli dynamic set config property=bootexemptions value="udp:0:4002:inbound"
check "boot: stateful" boot
check "boot: the table says it" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep 'boot mode: stateful'"
check_not "stateful: what nobody asked for is dropped" passes forbidden
check "stateful: an exemption passes" passes allowed
check "stateful: answers pass" in_ns ping -c1 -W2 10.9.0.2
check_not "stateful: a ping from outside does not" ip netns exec $peer ping -c1 -W1 10.9.0.1
in_ns nft delete table inet ipsecpol
check "block" cli dynamic set config property=bootmode value=block
check "boot: block" boot
check_not "block: nothing goes out" in_ns ping -c1 -W1 10.9.0.2
check "block: an exemption passes" passes allowed
check "boot: a table that is there stays" boot
check "boot: and it is said" has "it stays" "$t/boot.log"
in_ns nft delete table inet ipsecpol
cli dynamic set config property=bootmode value=permit >/dev/null
check "boot: permit" boot
check "boot: permit has no table" no_table

# ---- automatic: stateful once something is assigned ----
wipe
cat >"$t/persistent" <<'EOS'
pushd ipsec static
set store location=persistent
add policy name=base activatedefaultrule=no
add filterlist name=udp
add filter filterlist=udp srcaddr=any dstaddr=me protocol=UDP mirrored=no srcport=0 dstport=4001
add filteraction name=deny action=block
add rule name=deny policy=base filterlist=udp filteraction=deny
set policy name=base assign=yes
popd
EOS
check "a persistent policy by script" cli exec "$t/persistent"
check "boot: automatic is stateful now" boot
check "boot: stateful by itself" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep 'boot mode: stateful'"
start; stop
printf 'x' | dd of="$t/state/boot.image" bs=1 seek=30 conv=notrunc 2>/dev/null
in_ns nft delete table inet ipsecpol
check "boot: a damaged image blocks" boot
check "boot: and it is named" has "boot.image" "$t/boot.log"
check_not "boot: nothing passes" passes allowed

# ---- the hand-over, under a flood ----
check "the service takes over" start
check "mode secure" is mode secure
check "reason" has "persistent" "$t/log"
check_not "the persistent policy blocks" passes forbidden
check "and lets through what it does not name" passes allowed
check "status names the store" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf status | grep 'persistent policy .base.'"
check "comments name the store" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep 's:persistent'"
stop

round() {	# NUMBER: a start from nothing; every third one crashes on its way first
	ip -n $ns link set eth0 down
	in_ns nft delete table inet ipsecpol 2>/dev/null
	boot || return 1
	ip -n $ns link set eth0 up
	ip netns exec $ns "$builddir/ipsecpold" --config "$t/conf" 2>>"$t/log" &
	daemon=$!
	if [ $(($1 % 3)) = 0 ]; then
		sleep "0.00$(($1 % 9))"
		kill -9 $daemon; wait $daemon 2>/dev/null
		ip netns exec $ns "$builddir/ipsecpold" --config "$t/conf" 2>>"$t/log" &
		daemon=$!
	fi
	i=0
	until in_ns nft list table inet ipsecpol 2>/dev/null | grep -q s:persistent || [ $i = 1000 ]; do sleep 0.01; i=$((i + 1)); done
	[ $i -lt 1000 ] || { echo "round $1: no policy"; tail -5 "$t/log"; return 1; }
	kill -9 $daemon; wait $daemon 2>/dev/null; daemon=
}
ip -n $peer neigh replace 10.9.0.1 lladdr "$(ip -n $ns -br link show eth0 | awk '{ print $3 }')" dev eth0 nud permanent
in_ns nft 'flush table inet witness; delete table inet witness; table inet witness { chain in { type filter hook input priority 10; udp dport 4001 counter comment "forbidden"; udp dport 4002 counter comment "allowed"; }; }'
ip netns exec $peer python3 "$t/flood.py" 600 &
flood=$!
n=0
while [ $n -lt "${BOOT_ROUNDS:-200}" ] && round $n >"$t/looked" 2>&1; do n=$((n + 1)); done
kill $flood 2>/dev/null; wait $flood 2>/dev/null
[ $n = "${BOOT_ROUNDS:-200}" ] && ok "$n starts under a flood" || { fail "start $n of ${BOOT_ROUNDS:-200}"; cat "$t/looked"; }
[ "$(got forbidden)" = 0 ] && ok "not one forbidden packet" || fail "$(got forbidden) forbidden packets got through"
[ "$(got allowed)" -gt 0 ] && ok "while $(got allowed) allowed ones did" || fail "the flood did not arrive"

# ---- block mode: a persistent policy that cannot be put in force ----
# Unreadable: its filter list is gone.
cat >"$t/broken.reg" <<EOS
Windows Registry Editor Version 5.00

[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\IPSec\\Policy\\Persistent\\$(cli reg query 'SOFTWARE\Policies\Microsoft\Windows\IPSec\Policy\Persistent' | grep -o 'ipsecFilter{[^}]*}' | head -1)]
EOS
check_not "an import that breaks the assigned policy is refused" cli reg import "$t/broken.reg"
python3 - "$t/state/registry.db" <<'PY'
import sys
p = sys.argv[1]; b = bytearray(open(p, "rb").read())
i = b.find("base".encode()); b[i] ^= 1
open(p, "wb").write(b)
PY
printf 'x' | dd of="$t/state/boot.image" bs=1 seek=30 conv=notrunc 2>/dev/null
in_ns nft delete table inet ipsecpol 2>/dev/null
start
check "unreadable persistent policy: block mode" is mode block
check "status says why" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf status | grep 'registry.db'"
check_not "block mode: boot exemptions are not honoured" passes allowed
check_not "block mode: nothing goes out" in_ns ping -c1 -W1 10.9.0.2
check "block mode: loopback works" in_ns ping -c1 -W1 127.0.0.1
stop
# And after it was mended.
wipe
cli exec "$t/persistent" >/dev/null 2>&1
check "mended: starts" start
check "mended: secure" is mode secure
stop

# One that can be read, but not be rendered.
wipe
{ sed '/add filter f/d; /assign=/d; /popd/d' "$t/persistent"
  echo 'add filter filterlist=udp srcaddr=any dstaddr=me protocol=UDP mirrored=no srcport=0 dstport=4001'; } >"$t/big"
check "a persistent policy, not assigned yet" cli exec "$t/big"
python3 - "$builddir" "$t" >"$t/big.reg" <<'PY'
import re, struct, subprocess, sys
build, t = sys.argv[1:]
subprocess.run([build + "/ipsecpol", "--config", t + "/conf", "reg", "export", t + "/now.reg", "--utf8"], check=True, stdout=subprocess.DEVNULL)
s = open(t + "/now.reg", encoding="utf-8-sig", newline="").read()
policy = re.search(r"ipsecPolicy\{[^}]*\}", s).group(0)
# interface name set in the rule: it can be read, but not be rendered
nfa = next(m for m in re.finditer(r"(\[HKEY_LOCAL_MACHINE\\[^\]]*\\ipsecNFA\{[^}]*\}\])(.*?)\r\n\r\n", s, re.S)
           if "ipsecFilterReference" in m.group(2))
blob = re.search(r'"ipsecData"=hex:([0-9a-f,\\\r\n ]*)', nfa.group(2))
b = bytearray(int(x, 16) for x in re.sub(r"[\\\r\n ]", "", blob.group(1)).split(","))
count, at = struct.unpack_from("<I", b, 20)[0], 24
for _ in range(count):
    at += 8 + struct.unpack_from("<I", b, at + 4)[0]
at += 4					# interface type; then the name
name = "eth9\0".encode("utf-16le")
n = struct.unpack_from("<I", b, at)[0]
b[at:at + 4 + n] = struct.pack("<I", len(name)) + name
struct.pack_into("<I", b, 16, struct.unpack_from("<I", b, 16)[0] + len(name) - n)
root = r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\IPSec\Policy\Persistent"
print("Windows Registry Editor Version 5.00\r\n\r\n%s\r\n\"ipsecData\"=hex:%s\r\n\r\n[%s]\r\n\"ActivePolicy\"=\"%s\"\r\n" %
      (nfa.group(1), ",".join("%02x" % x for x in b), root, (root[len("HKEY_LOCAL_MACHINE\\"):] + "\\" + policy).replace("\\", "\\\\")), end="")
PY
check "one that cannot be rendered is imported" cli reg import "$t/big.reg"
start
check "unrenderable persistent policy: block mode" is mode block
check "status names the rule" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf status | grep \"interface 'eth9'\""
check_not "block mode: refresh does not open it" cli refresh
check "still block" is mode block
check_not "nothing passes" passes allowed
stop

# One that the kernel refuses: the system calls that bring its batch fail, and the one with
# which the policy is tried by itself.
wipe
cli exec "$t/persistent" >/dev/null 2>&1
traced() {	# STRACE-OPTIONS: the daemon under strace, until it answers
	ip netns exec $ns strace -f -o "$t/trace" "$@" "$builddir/ipsecpold" --config "$t/conf" 2>>"$t/log" &
	daemon=$!
	i=0
	until cli status >/dev/null 2>&1 || [ $i = 200 ]; do sleep 0.05; i=$((i + 1)); done
}
untraced() { pkill -9 -P $daemon; wait $daemon 2>/dev/null; daemon=; }
traced -e trace=sendto
batch=$(grep -n . "$t/trace" | grep 'sendto(' | awk -F, '{ for (i = 1; i <= NF; i++) if ($i ~ /^ [0-9]+$/ && $i > 1000) { print NR; exit } }')
untraced
in_ns nft delete table inet ipsecpol
: >"$t/log"
traced -e trace=sendto -e "inject=sendto:error=EINVAL:when=$batch..$((batch + 2))"
check "refused by the kernel: block mode, and why" has "everything is blocked: the persistent policy.*Invalid argument" "$t/log"
check "tried again with the next refresh, it is in force" is mode secure
check_not "and blocks" passes forbidden
untraced
summary
