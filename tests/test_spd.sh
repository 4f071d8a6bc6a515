#!/bin/sh
# IPsec policies in the kernel, with ip-xfrm(8) as referee.  Root; own network namespaces only.
set -u
: "${builddir:=.}" "${srcdir:=.}"
T=$(mktemp -d) || exit 1
chmod 755 "$T"
. "$srcdir/tests/lib/check.sh"
n=isn$$ m=ism$$
trap 'exec 8>&-; for x in $n $m; do ip netns del $x 2>/dev/null; done; rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
tool=$builddir/tests/spdtool
ip netns add $n && ip netns add $m && ip -n $n link set lo up
inn() { ip netns exec $n "$@"; }
xfrm() { ip -n $n xfrm policy "$@"; }
spd() { inn "$tool" "$@" 2>"$T/log"; }
# foreign: others' policies, whole
foreign() { xfrm list nosock | python3 -c '
import re, sys
for p in re.split(r"(?m)^(?=src)", sys.stdin.read()):
    if p.startswith("src 192.168.") or not re.search(r"priority (6[5-9]|[78]\d|9[0-8])\d{3} ", p): print(p, end="")'; }

if ! spd fetch >/dev/null; then
	echo "SKIP: this kernel has no IPsec policies"
	bad "the kernel has IPsec policies" "$(cat "$T/log")"
	finish; exit
fi

cat >"$T/one" <<'P'
in 0.0.0.0/0 10.1.0.1/32 udp 53 0 priority 65536 pass "lifeline: DNS"
in 10.5.0.0/16 10.1.0.1/32 any priority 65542 esp transport use reqid 0x69000012 "soft"
out 10.1.0.1/32 10.2.0.0/16 any priority 65540 esp transport required reqid 0x69000010
out 10.1.0.1/32 10.2.0.0/16 tcp 0 80 priority 65538 esp transport required reqid 0x69000010 "r:ab12cd34 Web"
out 10.1.0.1/32 10.5.0.0/16 any priority 65542 esp transport use reqid 0x69000012 "soft"
out 10.1.0.1/32 10.6.0.0/16 udp 1024/0xfc00 0 priority 65538 esp transport required reqid 0x69000014 ah transport required reqid 0x69000014
out 10.1.0.1/32 10.7.0.0/16 icmp 8 0/0xffff priority 65538 ah transport use reqid 0x69000015
out fd00::1/128 fd00:2::/32 icmpv6 128 0/0xffff priority 65538 ah transport required reqid 0x69000013
out fd00:3::/32 fd00:4::/32 any priority 65538 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000016
fwd 10.3.0.0/16 10.4.0.0/16 any priority 65536 esp tunnel 192.0.2.1 192.0.2.9 required reqid 0x69000011 "..."
fwd fd00:3::/32 10.4.0.0/16 any priority 65536 pass
P
sed -i '$d' "$T/one"
bare() { sed 's/ "[^"]*"$//' "$@"; }

# ---- others' policies, of the same traffic too, before ours come
xfrm add src 10.1.0.1/32 dst 10.2.0.0/16 dir out priority 400000 tmpl proto esp reqid 7 mode transport
xfrm add src 10.1.0.1/32 dst 10.2.0.0/16 proto tcp dport 80 dir out priority 400000
xfrm add src 10.3.0.0/16 dst 10.4.0.0/16 dir fwd action block priority 400000
xfrm add src 10.1.0.1/32 dst 10.5.0.0/16 dir out priority 5 mark 7 mask 0xff tmpl proto esp reqid 8 mode transport
xfrm add src 10.1.0.1/32 dst 10.5.0.0/16 dir out priority 5 if_id 9 tmpl proto esp reqid 8 mode transport
xfrm add src 192.168.0.0/24 dst 192.168.1.0/24 dir out index 1761607681 priority 65538 tmpl src 192.0.2.3 dst 192.0.2.4 proto esp reqid 1761607696 mode tunnel
xfrm add src fd00::1/128 dst fd00:2::/32 dir out priority 300000 ptype sub 2>/dev/null
foreign >"$T/f0"
check "others' policies are there" test "$(grep -c ^src "$T/f0")" -ge 5
has "also one with our priority, reqid and what could be our index" "src 192.168.0.0/24 dst 192.168.1.0/24 
	dir out priority 65538 " "$(xfrm list)"
same "none of them is taken for ours" "" "$(spd fetch)"

# ---- in, and back
same "a first install adds all" "added 10 changed 0 removed 0" "$(spd install "$T/one")"
sed 's/^/+ /' "$T/one" >"$T/want"
check "and logs each" cmp "$T/want" "$T/log"
check "they read back equal" inn "$tool" diff "$T/one"
bare "$T/one" >"$T/want"
spd fetch >"$T/got"
check "line by line" cmp "$T/want" "$T/got"
same "a second install sends nothing" "added 0 changed 0 removed 0" "$(spd install "$T/one")"
same "and logs nothing" "" "$(cat "$T/log")"
same "nor does a retract" "added 0 changed 0 removed 0" "$(spd retract "$T/one")"
foreign >"$T/f1"
check "others' are untouched" cmp "$T/f0" "$T/f1"

# ---- what an administrator sees
xfrm list nosock >"$T/list"
flat=$(tr -s '\n\t ' '   ' <"$T/list")
has "ip xfrm: ports" "src 10.1.0.1/32 dst 10.2.0.0/16 proto tcp dport 80 dir out priority 65538 ptype main tmpl src 0.0.0.0 dst 0.0.0.0 proto esp reqid 1761607696 mode transport" "$flat"
has "ip xfrm: ICMP type and code" "src 10.1.0.1/32 dst 10.7.0.0/16 proto icmp type 8 code 0 dir out priority 65538" "$flat"
has "ip xfrm: level use" "src 10.5.0.0/16 dst 10.1.0.1/32 dir in priority 65542 ptype main tmpl src 0.0.0.0 dst 0.0.0.0 proto esp reqid 1761607698 mode transport level use" "$flat"
has "ip xfrm: ESP inside AH" "proto esp reqid 1761607700 mode transport tmpl src 0.0.0.0 dst 0.0.0.0 proto ah reqid 1761607700 mode transport" "$flat"
has "ip xfrm: a tunnel" "src 10.3.0.0/16 dst 10.4.0.0/16 dir fwd priority 65536 ptype main tmpl src 192.0.2.1 dst 192.0.2.9 proto esp reqid 1761607697 mode tunnel" "$flat"
has "ip xfrm: IPv6 in IPv4" "src fd00:3::/32 dst fd00:4::/32 dir out priority 65538 ptype main tmpl src 192.0.2.1 dst 192.0.2.9 proto esp" "$flat"
has "ip xfrm: a pass" "src 0.0.0.0/0 dst 10.1.0.1/32 proto udp sport 53 dir in priority 65536 ptype main src" "$flat"
has "ip -s xfrm: the key that is ours" "src 10.1.0.1/32 dst 10.7.0.0/16 proto icmp type 8 code 0 uid 1761607680" "$(ip -n $n -s xfrm policy list)"

# ---- an administrator's commands by selector do not meet ours
xfrm update src 10.1.0.1/32 dst 10.7.0.0/16 proto icmp type 8 code 0 dir out priority 400000
check "an update by somebody else makes a policy beside ours" inn "$tool" diff "$T/one"
xfrm delete src 10.1.0.1/32 dst 10.7.0.0/16 proto icmp type 8 code 0 dir out
check "a delete removes that one" inn "$tool" diff "$T/one"
xfrm delete src 10.1.0.1/32 dst 10.7.0.0/16 proto icmp type 8 code 0 dir out 2>/dev/null
same "and only that" 2 $?
check "ours is still there" inn "$tool" diff "$T/one"

# ---- changes
sed -e 's/use reqid 0x69000012/required reqid 0x69000012/' -e '/10.6.0.0/d' -e 's/65540 esp/65544 ah/' "$T/one" >"$T/two"
echo 'out 10.1.0.1/32 10.9.0.0/16 any priority 65546 pass' >>"$T/two"
same "the way down removes what is not wanted" "added 0 changed 0 removed 1" "$(spd retract "$T/two")"
has "and names it" "- out 10.1.0.1/32 10.6.0.0/16 udp 1024/0xfc00 0 priority 65538 esp" "$(cat "$T/log")"
same "the way up does the rest" "added 1 changed 3 removed 0" "$(spd install "$T/two")"
has "and says from what to what" "- out 10.1.0.1/32 10.2.0.0/16 any priority 65540 esp transport required reqid 0x69000010
+ out 10.1.0.1/32 10.2.0.0/16 any priority 65544 ah transport required reqid 0x69000010" "$(cat "$T/log")"
check "it arrived" inn "$tool" diff "$T/two"
same "one of somebody else's mark has no say" "added 1 changed 3 removed 1" "$(spd apply "$T/one")"
foreign >"$T/f1"
check "others' are untouched by changes" cmp "$T/f0" "$T/f1"

# ---- altered under our key
sed -n '/10.2.0.0/p' "$T/one" >"$T/part"
inn "$tool" alter "$T/part"
same "altered policies are seen as missing" 2 "$(inn "$tool" diff "$T/one" | wc -l)"
same "and replaced" "added 2 changed 0 removed 0" "$(spd install "$T/one")"
check "all is well again" inn "$tool" diff "$T/one"
inn "$tool" alter "$T/part"
same "the way down removes them" "added 0 changed 0 removed 2" "$(spd retract "$T/one")"
hasnot "they are gone" "block priority 655" "$(ip -n $n -s xfrm policy list | tr -s '\n\t ' '   ' | grep -o 'action block[^p]*priority [0-9]*')"
spd install "$T/one" >/dev/null

# ---- somebody else's before ours
xfrm add src 10.1.0.1/32 dst 10.7.0.0/16 proto icmp type 8 code 0 dir out priority 100
same "install says that somebody else's comes first" "busy: IPsec policy out 10.1.0.1/32 10.7.0.0/16 icmp 8 0/0xffff priority 65538 ah transport use reqid 0x69000015: somebody else's of priority 100 for the same traffic comes before it (see 'ip xfrm policy')" \
	"$(spd install "$T/one" >/dev/null; cat "$T/log")"
check "ours stands behind it" inn "$tool" diff "$T/one"
has "and it is left alone" "priority 100 ptype main" "$(xfrm list)"
xfrm delete src 10.1.0.1/32 dst 10.7.0.0/16 proto icmp type 8 code 0 dir out
check "nothing is said when it is gone" spd install "$T/one"

# ---- refused by the kernel
{ cat "$T/one"; echo 'out 10.1.0.1/32 10.8.0.0/16 any priority 65548 esp tunnel 192.0.2.1 192.0.2.2 use reqid 0x69000019'
	echo 'out 10.1.0.1/32 10.8.1.0/24 any priority 65550 pass'; } >"$T/bad"
spd install "$T/bad" >"$T/out"
case $(cat "$T/log") in
*"kernel: cannot install IPsec policy out 10.1.0.1/32 10.8.0.0/16 any priority 65548 esp tunnel 192.0.2.1 192.0.2.2 use reqid 0x69000019: Invalid argument"*)
	ok "a refused policy is named" ;;
*)	if inn "$tool" diff "$T/bad" >/dev/null; then ok "a refused policy is named (this kernel takes it)"; else bad "a refused policy is named" "$(cat "$T/log")"; fi ;;
esac
has "the others are in" "10.8.1.0/24 any priority 65550 pass" "$(spd fetch)"
spd apply "$T/one" >/dev/null

# ---- pins
same "a peer is pinned both ways" "in 10.5.0.9/32 10.1.0.1/32 any priority 65541 esp transport required reqid 0x69000012 expires 600
out 10.1.0.1/32 10.5.0.9/32 any priority 65541 esp transport required reqid 0x69000012 expires 600" "$(spd pin "$T/one" 10.5.0.9 600 | bare)"
spd pin "$T/one" 10.5.0.10 2 >/dev/null
same "pins are apart from the rest" 4 "$(spd pins | wc -l)"
check "which is as wanted" inn "$tool" diff "$T/one"
same "pins stay while their policy does" "added 0 changed 0 removed 0" "$(spd apply "$T/one")"
sleep 1
spd pin "$T/one" 10.5.0.10 2 >/dev/null
sleep 1.5
same "a pin's time starts anew" 4 "$(spd pins | wc -l)"
sleep 2
same "a pin ends by itself" "in 10.5.0.9/32 out 10.1.0.1/32" "$(spd pins | cut -d' ' -f1,2 | tr '\n' ' ' | sed 's/ $//')"
check "and leaves its policy" inn "$tool" diff "$T/one"
sed 's/65542 esp transport use/65552 ah transport use/' "$T/one" >"$T/moved"
same "pins follow their policies" "added 0 changed 4 removed 0" "$(spd apply "$T/moved")"
same "in order and in what they do" "in 10.5.0.9/32 10.1.0.1/32 any priority 65551 ah transport required reqid 0x69000012 expires 600
out 10.1.0.1/32 10.5.0.9/32 any priority 65551 ah transport required reqid 0x69000012 expires 600" "$(spd pins)"
sed 's/^out.*10.5.0.0.*/out 10.1.0.1\/32 10.5.1.0\/24 any priority 65542 esp transport use reqid 0x69000012/' "$T/one" >"$T/narrow"
same "a pin goes with its policy" "added 1 changed 2 removed 2" "$(spd apply "$T/narrow")"
same "the other stays" "in 10.5.0.9/32" "$(spd pins | cut -d' ' -f1,2)"
# A policy for one host and its pin are two.
echo 'out 10.1.0.1/32 10.5.0.9/32 any priority 65542 esp transport use reqid 0x69000012' >"$T/host"
spd apply "$T/host" >/dev/null
spd pin "$T/host" 10.5.0.9 1 >/dev/null
same "a policy for one host and its pin" "1 1" "$(spd fetch | wc -l) $(spd pins | wc -l)"
sleep 2
same "the policy outlives its pin" "1 0" "$(spd fetch | wc -l) $(spd pins | wc -l)"
spd pin "$T/host" 10.5.0.9 600 >/dev/null
same "without a policy everything goes" "added 0 changed 0 removed 2" "$(spd retract nothing)"
same "nothing is left" "" "$(spd fetch; spd pins)"
foreign >"$T/f1"
check "but others' policies" cmp "$T/f0" "$T/f1"

# ---- many, and a way down that fails halfway
"$tool" big 10000 >"$T/big"
same "10,000 policies" "added 10000 changed 0 removed 0" "$(spd install "$T/big")"
check "read back equal" inn "$tool" diff "$T/big"
same "and again sends nothing" "added 0 changed 0 removed 0" "$(spd apply "$T/big")"
"$tool" write "$T/big" >"$T/sorted"
spd fetch >"$T/got"
check "line by line, all of them" cmp "$T/sorted" "$T/got"
head -n 9000 "$T/sorted" >"$T/less"
export ASAN_OPTIONS=detect_leaks=0	# it cannot, under strace
# The first message asks, the second removes, the third is lost; then what was removed goes in again.
inn strace -qq -o "$T/trace" -e trace=sendto -e inject=sendto:error=ENOBUFS:when=3 "$tool" retract "$T/less" >"$T/out" 2>"$T/log"
same "a way down that fails is an error" 1 $?
same "it says why" "system: cannot change the IPsec policies: No buffer space available" "$(grep ^system "$T/log")"
check "what was removed is there again" inn "$tool" diff "$T/big"
inn strace -qq -o "$T/trace" -e trace=sendto -e inject=sendto:error=ENOBUFS:when=3+ "$tool" retract "$T/less" >"$T/out" 2>"$T/log"
has "it says when that cannot be done" "some IPsec policies are gone already and cannot be put back: cannot change" "$(cat "$T/log")"
inn "$tool" install "$T/big" >/dev/null 2>&1
inn strace -qq -o "$T/trace" -e trace=recvfrom -e inject=recvfrom:error=ENOBUFS:when=5 "$tool" install "$T/less" >"$T/out" 2>"$T/log"
same "a dump that loses messages is asked again" "added 0 changed 0 removed 0" "$(cat "$T/out")"
same "1,000 of them go" "added 0 changed 0 removed 1000" "$(spd retract "$T/less")"
check "and the rest stays" inn "$tool" diff "$T/less"
same "all of them go" "added 0 changed 0 removed 9000" "$(spd retract nothing)"
unset ASAN_OPTIONS

# ---- watching
mkfifo "$T/in" "$T/events"
inn "$tool" watch <"$T/in" >"$T/events" 2>"$T/log" &
exec 8>"$T/in" 9<"$T/events"
tell() { echo "$1" >&8; read -r line <&9; while case $line in policies*) false ;; esac; do read -r line <&9; done; echo "$line"; }
same "nothing happened" "policies 0 sas 0" "$(tell look)"
same "own changes are not told" "policies 0 sas 0" "$(tell "install $T/one")"
same "nor a pin" "policies 0 sas 0" "$(tell "pin $T/one 10.5.0.9 1")"
sleep 2
same "nor that it has ended" "policies 0 sas 0" "$(tell look)"
same "nor own removals" "policies 0 sas 0" "$(tell "retract $T/part")"
same "nor those put back" "policies 0 sas 0" "$(tell "install $T/one")"
xfrm add src 10.99.0.0/16 dst 10.98.0.0/16 dir out
xfrm update src 10.1.0.1/32 dst 10.7.0.0/16 proto icmp type 8 code 0 dir out priority 400000
xfrm delete src 10.1.0.1/32 dst 10.7.0.0/16 proto icmp type 8 code 0 dir out
same "nor what others do to theirs" "policies 0 sas 0" "$(tell look)"
index=$(ip -n $n -s xfrm policy list | grep -A1 'uid 1761607680' | sed -n 's/.*dir out .*index \([0-9]*\) .*/\1/p' | head -1)
xfrm delete dir out index "$index"
same "one of ours removed by somebody else" "policies 1 sas 0" "$(tell look)"
same "that was all" "policies 0 sas 0" "$(tell look)"
same "it is put back" "added 1 changed 0 removed 0" "$(spd install "$T/one")"
same "another process of ours is somebody else" "policies 1 sas 0" "$(tell look)"
inn "$tool" alter "$T/part"
same "one of ours altered" "policies 1 sas 0" "$(tell look)"
tell "install $T/one" >/dev/null
xfrm flush
same "a flush" "policies 1 sas 0" "$(tell look)"
same "which took all of ours" "" "$(spd fetch)"
# A larval association of ours: the kernel has asked and waits.
inn ip xfrm state allocspi src 10.1.0.1 dst 10.2.0.2 proto esp mode transport reqid 1761607696 >/dev/null
same "an association of ours" "10.1.0.1 10.2.0.2 proto 50 reqid 0x69000010" "$(spd sas | sed "s/ spi 0x[0-9a-f]*//; s/ larval//; s/ '.*//")"
ip -n $n xfrm state flush
same "its end is told" "policies 0 sas 1" "$(tell look)"
same "and it is gone" "" "$(spd sas)"
# One that the kernel itself has made: a packet asked for it.  It has no SPI.
ip -n $n link add v0 type veth peer name v0 netns $m && ip -n $n addr add 10.1.0.1/32 dev v0 && ip -n $n link set v0 up && ip -n $m link set v0 up
ip -n $n route add 10.2.0.0/16 dev v0 && ip -n $n neigh add 10.2.0.2 lladdr 02:00:00:00:00:01 dev v0
ip netns exec $n ip xfrm monitor acquire >"$T/acquires" 2>/dev/null &
monitor=$!
sleep 0.3
packet() { inn python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("10.2.0.2", 9))' 2>/dev/null; sleep 0.1; }
asked() { grep -c '^acquire' "$T/acquires"; }
printf 'out 10.1.0.1/32 10.2.0.0/16 any priority 65540 esp transport required reqid 0x69000010\n' >"$T/asks"
same "a policy" "added 1 changed 0 removed 0" "$(spd install "$T/asks")"
packet; packet
same "the kernel asks once" 1 "$(asked)"
same "and waits" "10.1.0.1 10.2.0.2 proto 50 spi 0x00000000 reqid 0x69000010 larval '' ''" "$(spd sas)"
spd sa-delete >/dev/null
same "what waits can be taken away" "" "$(spd sas)$(ip -n $n xfrm state)"
packet
same "then the next packet asks again" 2 "$(asked)"
spd acquire "$T/asks" 10.2.0.7
sleep 0.1
same "a question without a packet" 3 "$(asked)"
same "for this peer" "10.2.0.7/32" "$(sed -n 's/.*sel src [^ ]* dst \([^ ]*\).*/\1/p' "$T/acquires" | tail -1)"
kill $monitor; wait $monitor 2>/dev/null
spd sa-delete >/dev/null; spd retract "$T/none" >/dev/null 2>&1 || spd retract nothing >/dev/null
tell look >/dev/null
"$tool" big 60000 >"$T/big"
same "own changes are not told, however many" "policies 0 sas 0" "$(tell "install $T/big")"
i=0
spd retract nothing >/dev/null
same "others' too many are told" "policies 1 sas 1" "$(tell look)"
same "and that they are lost is told once" "policies 0 sas 0" "$(while tell look | grep -q 1; do i=$((i + 1)); [ $i -lt 50 ] || break; done; tell look)"
exec 8>&- 9<&-

# ---- packets meet them
ip link add v$$ netns $n type veth peer name v$$ netns $m
ip -n $n addr add 10.1.0.1/16 dev v$$
ip -n $m addr add 10.1.0.2/16 dev v$$
ip -n $n link set v$$ up; ip -n $m link set v$$ up
ping_it() { inn ping -c 1 -W 2 10.1.0.2 >/dev/null 2>&1; }
check "the peer answers" ping_it
echo 'out 10.1.0.1/32 10.1.0.0/24 icmp 0 0 priority 65544 esp transport required reqid 0x69000010' >"$T/p"
spd apply "$T/p" >/dev/null
ping_it; same "a policy that requires is met, whoever sends" 1 $?
echo 'out 10.1.0.1/32 10.1.0.2/32 icmp 8 0 priority 65538 pass' >>"$T/p"
spd apply "$T/p" >/dev/null
check "one that passes above it lets through" ping_it
sed -i 's/ 8 0 / 0\/0xffff 0 /' "$T/p"
spd apply "$T/p" >/dev/null
ping_it; same "of another type it does not" 1 $?
printf 'out 10.1.0.1/32 10.1.0.0/24 any priority 65544 esp transport use reqid 0x69000010\n' >"$T/p"
spd apply "$T/p" >/dev/null
check "level use lets through" ping_it
spd pin "$T/p" 10.1.0.2 3 >/dev/null
ping_it; same "a pinned peer gets nothing in clear" 1 $?

check "without privilege it is told" sh -c "ip netns exec $n setpriv --reuid 65534 --regid 65534 --clear-groups '$tool' fetch 2>&1 | grep -q '^denied: cannot read the IPsec policies: Operation not permitted'"

finish
