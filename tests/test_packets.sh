#!/bin/sh
# What the table lets through against a model that walks the filters, on taps; and how
# forwarded packets are told from our own, on veth pairs and a bridge.  Root; own
# network namespaces only.
set -u
: "${builddir:=.}" "${srcdir:=.}"
T=$(mktemp -d) || exit 1
. "$srcdir/tests/lib/check.sh"
a=ipk$$a b=ipk$$b c=ipk$$c
trap 'for n in $a $b $c; do ip netns del $n 2>/dev/null; done; rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
tool=$builddir/tests/nfttool

# ---- random policies and packets
cat >"$T/furnish" <<'E2'
ip link set lo up
for s in ipv4.ip_forward=1 ipv6.conf.all.forwarding=1 ipv4.conf.all.rp_filter=0 ipv4.conf.default.rp_filter=0 \
	ipv4.conf.all.send_redirects=0 ipv4.conf.default.send_redirects=0; do sysctl -qw net.$s; done
i=0
for d in lan1:tap lan2:tap ppp1:tun; do
	i=$((i + 1)) n=${d%:*}
	ip tuntap add mode ${d#*:} name $n
	ip link set $n arp off 2>/dev/null
	ip link set $n up
	ip addr add 10.$i.0.1/24 broadcast 10.$i.0.255 dev $n
	ip addr add fd0$i::1/64 dev $n nodad
done
ip route add 224.0.0.0/4 dev lan1
# Only the marked packets of the test leave: no resets and unreachables of the kernel's own.
nft add table inet noise
nft 'add chain inet noise out { type filter hook output priority -300; policy accept; }'
nft add rule inet noise out meta mark != 1 drop
E2
timeout 200 unshare -n sh -c ". '$T/furnish'; exec '$builddir/tests/packets' 1 1200 300" >"$T/packets" 2>&1
rc=$?
while IFS= read -r line; do
	case $line in
	"ok: "*) ok "${line#ok: }" ;;
	"FAIL: "*) bad "${line#FAIL: }" ;;
	esac
done <"$T/packets"
[ $rc = 0 ] || bad "the packets of the model" "$(grep -v '^ok' "$T/packets")"
for kind in exempt lifeline none permit block require pass-through request request+pass tunnel; do
	has "some packets were decided by $kind" "decided by $kind:" "$(cat "$T/packets")"
done

# ---- veth: a - b (bridge br0 towards c) - c
for n in $a $b $c; do
	ip netns add $n && ip -n $n link set lo up
	ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
done
ip link add v0 netns $a type veth peer name ab netns $b
ip link add v0 netns $c type veth peer name cb netns $b
ip -n $b link add br0 type bridge
ip -n $b link set cb master br0
for d in ab cb br0; do ip -n $b link set $d up; done
ip -n $a link set v0 up
ip -n $c link set v0 up
ip netns exec $b sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip -n $a addr add 10.1.0.1/24 dev v0
ip -n $a addr add fd01::1/64 dev v0 nodad
ip -n $b addr add 10.1.0.2/24 dev ab
ip -n $b addr add fd01::2/64 dev ab nodad
ip -n $b addr add 10.2.0.2/24 dev br0
ip -n $b addr add fd02::2/64 dev br0 nodad
ip -n $c addr add 10.2.0.1/24 dev v0
ip -n $c addr add fd02::1/64 dev v0 nodad
ip -n $a route add default via 10.1.0.2
ip -n $a -6 route add default via fd01::2
ip -n $c route add default via 10.2.0.2
ip -n $c -6 route add default via fd02::2

inb() { ip netns exec $b "$@"; }
policy() { printf '%s\n' "$@" >"$T/policy"; inb "$tool" apply "$T/policy" 2>&1; }
pings() { ip netns exec $1 ping -c 1 -W 1 -q $2; }
silent() { ! ip netns exec $1 ping -c 1 -W 1 -q $2; }
packets() { inb nft list chain inet ipsecpol $1 | sed -n "s/.*counter packets \([0-9]*\) .*\"$2\".*/\1/p"; }

i=0
until pings $a fd02::1 >/dev/null 2>&1 || [ $i = 10 ]; do i=$((i + 1)); done
check "IPv4 crosses the router before there is a policy" pings $a 10.2.0.1
check "IPv6 crosses the router before there is a policy" pings $a fd02::1

policy 'rule block Me' 'filter me any any * * mirrored' >/dev/null
check "block me: forwarded IPv4 passes" pings $a 10.2.0.1
check "block me: forwarded IPv6 passes" pings $a fd02::1
check "block me: this host is silent to IPv4" silent $a 10.1.0.2
check "block me: this host is silent to IPv6" silent $a fd01::2
check "block me: this host cannot ask" silent $b 10.2.0.1
check "block me: this host cannot ask over IPv6" silent $b fd02::1
same "forwarded packets were known as such" 4 "$(packets routed forwarded)"

policy 'rule block Any' 'filter any any any * *' >/dev/null
check "block any: nothing is forwarded" silent $a 10.2.0.1
check "block any: no IPv6 is forwarded" silent $a fd02::1
check "block any: this host is silent" silent $a 10.1.0.2

policy 'rule block Any' 'filter any any any * *' 'rule permit Two' 'filter 10.1.0.0/24 10.2.0.0/24 1 * * mirrored' >/dev/null
check "permit between nets: forwarded" pings $a 10.2.0.1
check "permit between nets: the other family is not" silent $a fd02::1
check "permit between nets: from this host's address in one of them" pings $b 10.1.0.2

# Ranges in pieces: nft's own listing is the same table again.
inb "$tool" apply "$srcdir/tests/cases/render-pieces/policy" >/dev/null 2>&1
inb nft list table inet ipsecpol >"$T/listing"
has "ranges are pieces in maps" "udp . 1040 " "$(inb nft list map inet ipsecpol out4_sme_p_dp12_r)"
inb nft delete table inet ipsecpol
check "their listing reads in" inb nft -f "$T/listing"
check "as the same table" inb "$tool" diff "$srcdir/tests/cases/render-pieces/policy"

# Packets that a tunnel device wraps are our own although they have an input interface.
policy 'rule block Me' 'filter me any udp * 4789' >/dev/null
inb ip link add vx type vxlan id 5 remote 10.1.0.1 dstport 4789 dev ab
inb ip addr add 10.9.0.1/24 dev vx
inb ip link set vx up
inb nft add table inet count
inb nft 'add chain inet count out { type filter hook postrouting priority 100; policy accept; }'
inb nft add rule inet count out udp dport 4789 counter
inb ping -c 1 -W 1 -q 10.9.0.2 >/dev/null 2>&1
has "a wrapped packet of our own is judged" "counter packets 0 bytes 0" "$(inb nft list table inet count)"
hasnot "and it was dropped by its filter" "udp . 4789 counter packets 0" "$(inb nft list map inet ipsecpol out4_sme_p_dp)"
inb nft delete table inet count
# So are multicast listener reports, with and without an address.
policy 'rule block Reports' 'filter any any 58 * *' >/dev/null
before=$(packets routed forwarded)
inb ip link add d0 type veth peer name d1
inb ip link set d0 up
inb ip link set d1 up
sleep 2
same "our listener reports are not taken for forwarded" "$before" "$(packets routed forwarded)"
hasnot "they were judged" "icmpv6 counter packets 0" "$(inb nft list map inet ipsecpol out6_p | sed 's/ipv6-icmp/icmpv6/')"

# Bridged packets, when netfilter sees them: as forwarded, and then as our own.
if inb sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null; then
	ip link add v1 netns $a type veth peer name cc netns $b
	ip -n $b link set cc master br0 up
	ip -n $a link set v1 up
	ip -n $a addr add 10.2.0.7/24 dev v1
	policy 'rule block Me' 'filter me any any * * mirrored' >/dev/null
	sleep 2
	check "block me: bridged packets pass" ip netns exec $a ping -c 1 -W 1 -q -I v1 10.2.0.1
	policy 'rule block Any' 'filter any any any * *' >/dev/null
	check "block any: bridged packets do not" sh -c "! ip netns exec $a ping -c 1 -W 1 -q -I v1 10.2.0.1"
fi

# Block mode
printf 'lifeline\nfact dns 10.1.0.1\n' >"$T/policy"
inb "$tool" apply "block:$T/policy" >/dev/null 2>&1
check "block mode: silent" silent $a 10.1.0.2
check "block mode: cannot ask" silent $b 10.1.0.1
check "block mode: nothing is forwarded" silent $a 10.2.0.1
check "block mode: loopback works" pings $b 127.0.0.1
check "block mode: own address works" pings $b 10.1.0.2

# ---- the startup modes: echo servers on both sides, and who hears whom
cat >"$T/peer" <<'E2'
import select, socket, sys
def sock(proto, family):
    s = socket.socket(family, socket.SOCK_STREAM if proto == 'tcp' else socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return s
def serve(wanted):
    kinds = {}
    for w in wanted:
        proto, port = w.split(':')
        s = sock(proto, socket.AF_INET6)
        s.bind(('::', int(port)))
        if proto == 'tcp': s.listen()
        kinds[s] = proto
    print('ready', flush=True)
    while True:
        for s in select.select(list(kinds), [], [])[0]:
            try:
                if kinds[s] == 'tcp': kinds[s.accept()[0]] = 'conn'
                elif kinds[s] == 'udp': s.sendto(*s.recvfrom(100))
                else:
                    data = s.recv(100)
                    if data: s.send(data)
                    else: del kinds[s]; s.close()
            except OSError: pass
def connect(proto, addr, port, sport):
    s = sock(proto, socket.AF_INET6 if ':' in addr else socket.AF_INET)
    s.settimeout(0.4)
    if sport: s.bind(('', sport))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.connect((addr, port))
    return s
def echo(s):
    s.send(b'hello')
    if s.recv(100) != b'hello': sys.exit(1)
if sys.argv[1] == 'serve': serve(sys.argv[2:])
try:
    s = connect(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 0)
    echo(s)
    if sys.argv[1] == 'hold':
        print('echo', flush=True)
        for line in sys.stdin:
            try: echo(s); print('echo', flush=True)
            except OSError: print('silence', flush=True)
except ConnectionRefusedError: sys.exit(3)
except OSError: sys.exit(2)
E2
serve() { ip netns exec $1 python3 "$T/peer" serve $2 >"$T/served.$1" 2>&1 & pids="$pids $!"; }
asks() { ip netns exec $1 python3 "$T/peer" ask $2 $3 $4 ${5:-}; }
deaf() { ! asks "$@"; }
pids=
trap 'kill $pids 2>/dev/null; for n in $a $b $c; do ip netns del $n 2>/dev/null; done; rm -rf "$T"' EXIT
serve $a "tcp:22 tcp:7 udp:53 udp:54"
serve $b "tcp:22 tcp:3389 udp:9 udp:68 udp:546"
inb "$tool" remove >/dev/null
i=0
until asks $a tcp 10.1.0.2 22 && asks $b tcp 10.1.0.1 22 || [ $i = 20 ]; do i=$((i + 1)); sleep 0.1; done
check "no table: the servers answer" asks $a tcp fd01::2 22
mode() { inb "$tool" apply "$1:$T/exempt" >/dev/null 2>&1; }
forget() { ip -n $a neigh flush dev v0; ip -n $b neigh flush dev ab; }

printf 'exempt tcp 0 3389 in\nexempt udp 0 53 out\n' >"$T/exempt"
# A connection from outside that is tracked already.
policy 'rule request Track' 'filter 192.0.2.1/32 me any * *' >/dev/null
mkfifo "$T/hold"
: >"$T/held"
ip netns exec $a python3 "$T/peer" hold tcp 10.1.0.2 22 <"$T/hold" >"$T/held" 2>&1 &
pids="$pids $!"
exec 9>"$T/hold"
told() { echo >&9; i=0; while [ "$(wc -l <"$T/held")" -lt $1 ] && [ $i -lt 30 ]; do sleep 0.1; i=$((i + 1)); done; tail -n 1 "$T/held"; }
same "a connection from outside is open" echo "$(told 2)"
check "stateful can be applied" mode stateful
same "stateful: it does not go on" silence "$(told 3)"
exec 9>&-
forget
check "stateful: this host asks" pings $b 10.1.0.1
check "stateful: this host asks over IPv6" pings $b fd01::1
check "stateful: answers over TCP" asks $b tcp 10.1.0.1 22
check "stateful: answers over UDP" asks $b udp fd01::1 54
asks $b udp 10.1.0.1 99
same "stateful: errors about what was sent" 3 $?
asks $b udp fd01::1 99
same "stateful: errors over IPv6" 3 $?
check "stateful: nobody asks this host" silent $a 10.1.0.2
check "stateful: nobody asks over IPv6" silent $a fd01::2
check "stateful: no connection from outside" deaf $a tcp 10.1.0.2 22
check "stateful: no packet from outside" deaf $a udp fd01::2 9
check "stateful: an answer to nothing" deaf $a udp 10.1.0.2 9 53
check "stateful: the exemption" asks $a tcp 10.1.0.2 3389
check "stateful: the exemption over IPv6" asks $a tcp fd01::2 3389
check "stateful: a DHCP server" asks $a udp 10.1.0.2 68 67
check "stateful: a DHCPv6 server" asks $a udp fd01::2 546 547
check "stateful: only from the server's port" deaf $a udp 10.1.0.2 68 66
inb nft add table inet count
inb nft 'add chain inet count in { type filter hook input priority 100; policy accept; }'
inb nft add rule inet count in ip daddr '{ 10.1.0.255, 224.0.0.1 }' counter
shout() { asks $a udp 10.1.0.255 9; ip netns exec $a ping -c 1 -W 1 -q 224.0.0.1 >/dev/null; }
shout
has "stateful: broadcast and multicast are dropped" "counter packets 0 " "$(inb nft list table inet count)"
check "stateful: nothing is forwarded" silent $a 10.2.0.1
check "stateful: no answer to what is forwarded" silent $c 10.1.0.1
check "stateful: loopback" pings $b 10.1.0.2

# What began under the startup mode is the policy's from then on.
mkfifo "$T/hold2"
: >"$T/held"
ip netns exec $b python3 "$T/peer" hold tcp 10.1.0.1 7 <"$T/hold2" >"$T/held" 2>&1 &
pids="$pids $!"
exec 9>"$T/hold2"
same "stateful: a connection of this host" echo "$(told 2)"
policy 'rule block Echo' 'filter me any tcp * 7 mirrored' >/dev/null
same "the policy cuts it" silence "$(told 3)"
policy 'rule permit Echo' 'filter me any tcp * 7 mirrored' >/dev/null
exec 9>&-
shout
has "which the policy lets through" "counter packets 2 " "$(inb nft list table inet count)"

check "block can be applied" mode startup
forget
check "startup block: the exemption inbound" asks $a tcp 10.1.0.2 3389
check "startup block: the exemption inbound over IPv6" asks $a tcp fd01::2 3389
check "startup block: the exemption outbound" asks $b udp 10.1.0.1 53
check "startup block: the exemption outbound over IPv6" asks $b udp fd01::1 53
check "startup block: not to another port" deaf $b udp 10.1.0.1 54
check "startup block: no other connection from outside" deaf $a tcp 10.1.0.2 22
check "startup block: no connection of this host" deaf $b tcp 10.1.0.1 22
check "startup block: not even from the exempt port" deaf $b tcp 10.1.0.1 22 3389
check "startup block: nor to this host from the exempt port" deaf $a udp 10.1.0.2 9 53
check "startup block: silent" silent $a 10.1.0.2
check "startup block: cannot ask" silent $b fd01::1
check "startup block: nothing is forwarded" silent $a 10.2.0.1
check "startup block: loopback" pings $b 10.1.0.2
# This DHCP server's answers go out to port 67, as the client's own would.
check "startup block: DHCP" asks $a udp 10.1.0.2 68 67
check "startup block: DHCPv6" asks $a udp fd01::2 546 547
check "startup block: nothing but DHCP" deaf $a udp 10.1.0.2 68 66

finish
