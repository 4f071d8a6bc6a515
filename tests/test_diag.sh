#!/bin/sh
# The diagnostic mode: what is dropped is told, with filter, rule, GPO and store.
set -u
. "${srcdir:?}/tests/lib/daemon.sh"

dyn() { cli dynamic "$@"; }
# A peer behind a veth: 10.77.9.2, us 10.77.9.1.
ip netns add $ns-peer; more_ns=$ns-peer
ip -n $ns link add v0 type veth peer name v1 netns $ns-peer
ip -n $ns addr add 10.77.9.1/24 dev v0; ip -n $ns link set v0 up
ip -n $ns-peer addr add 10.77.9.2/24 dev v1; ip -n $ns-peer link set v1 up; ip -n $ns-peer link set lo up
# send NS ADDR PORT [N]: UDP packets
send() { ip netns exec "$1" python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[3])):
    try: s.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
    except OSError: pass' "$2" "$3" "${4:-1}"; }
wait_for() { i=0; while [ $i -lt 50 ]; do grep -qE -- "$1" "$2" && return 0; sleep 0.1; i=$((i + 1)); done; cat "$2"; echo "nothing like: $1"; return 1; }

conf WEB1
start
dyn add rule srcaddr=any dstaddr=me protocol=UDP dstport=7001 actioninbound=block actionoutbound=block
dyn add rule srcaddr=me dstaddr=10.77.9.2 protocol=UDP dstport=7002 mirrored=no actioninbound=block actionoutbound=block

# ---- off ----
check_not "show drops while it is off" dyn show drops
check "says how to switch it on" has "set config property=ipsecdiagnostics value=7" "$t/out"
save_table "$t/off"
send $ns-peer 10.77.9.1 7001
sleep 0.3
check_not "nothing is logged" grep -q "dropped:" "$t/log"
check_not "and no rule logs" grep -q "log prefix" "$t/off"

# ---- on ----
check "switched on" dyn set config property=ipsecdiagnostics value=6
check "now" has "ipsecdiagnostics = 6 \(now\)" "$t/out"
check "with an event" wait_for "diagnostic mode is on: level 6" "$t/log"
in_ns "$builddir/ipsecpol" --config "$t/conf" --json dynamic show drops >"$t/follow" 2>&1 &
follower=$!
sleep 0.5
send $ns-peer 10.77.9.1 7001
check "an inbound drop is logged" wait_for "dropped: inbound udp 10.77.9.2:[0-9]+ > 10.77.9.1:7001 on v0: blocked, filter \{[0-9a-f-]+\} of rule 'any to me udp .*7001.*\(dynamic\)" "$t/log"
send $ns 10.77.9.2 7002
check "an outbound drop is logged" wait_for "dropped: outbound udp 10.77.9.1:[0-9]+ > 10.77.9.2:7002 on v0: blocked, filter" "$t/log"
check "who follows sees both" wait_for '"direction": ?"outbound"' "$t/follow"
kill $follower; wait $follower 2>/dev/null
check "as JSON, one a line, with filter and rule" python3 -c 'import json, sys
d = [json.loads(l) for l in open(sys.argv[1]) if l.strip()]
assert [x["direction"] for x in d] == ["inbound", "outbound"], d
assert d[0]["dport"] == 7001 and d[0]["src"] == "10.77.9.2" and d[0]["protocol"] == "udp" and d[0]["interface"] == "v0", d
assert d[0]["store"] == "dynamic" and d[0]["filter"] and d[0]["rule"] and d[0]["rule_name"] and d[0]["gpo"] is None, d
assert d[1]["number"] == d[0]["number"] + 1 and d[0]["why"] == "block", d' "$t/follow"

# ---- the domain's policy: which GPO ----
check "refresh" cli refresh
ip netns exec $ns-peer timeout 1 python3 -c 'import socket; socket.create_connection(("10.77.9.1", 4444), 0.5)' >/dev/null 2>&1
check "a drop by the GPO names it" wait_for "inbound tcp 10.77.9.2:[0-9]+ > 10.77.9.1:4444 on v0: blocked, filter .* of rule 'Nothing else' .* by GPO 'IPsec web servers' .*\(domain\)" "$t/log"

# ---- only one direction ----
check "inbound only" dyn set config property=ipsecdiagnostics value=2
: >"$t/log.seen"; n=$(grep -c "dropped: outbound" "$t/log")
send $ns 10.77.9.2 7002; sleep 0.5
[ "$(grep -c "dropped: outbound" "$t/log")" = "$n" ] && ok "outbound is not logged" || fail "outbound is not logged"

# ---- a flood neither fills the log nor blocks the daemon ----
send $ns-peer 10.77.9.1 7001 20000 &
sender=$!
check "status during a flood" timeout 5 ip netns exec $ns "$builddir/ipsecpol" --config "$t/conf" status
wait $sender; sleep 1
n=$(grep -c "dropped: inbound" "$t/log")
[ "$n" -gt 10 ] && [ "$n" -lt 1500 ] && ok "a flood of 20000 leaves $n lines" || fail "a flood of 20000 leaves $n lines"

# ---- summary ----
check "off again" dyn set config property=ipsecdiagnostics value=0
check "a last summary with the filter that drops most" wait_for "logged drops: [0-9]+ inbound, [0-9]+ outbound, 0 forwarded.*; most: [0-9]+ by filter \{[0-9a-f-]+\} of rule '" "$t/log"
check "an event" wait_for "diagnostic mode is off" "$t/log"
check_not "no rule logs" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep -q 'log prefix'"

# ---- an end time ----
check "for two seconds" dyn set config property=ipsecdiagnostics value=7 until=2s
check "says until when" has "ipsecdiagnosticsuntil = " "$t/out"
check "rules log" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep -q 'log '"
dyn show drops >"$t/follow" 2>&1 &
follower=$!
check "it ends by itself" wait_for "come to its end time" "$t/log"
sleep 0.3
check_not "no rule logs" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep -q 'log prefix'"
check "who follows is told" wait_for "switched off" "$t/follow"
kill $follower 2>/dev/null; wait $follower 2>/dev/null
check "show config tells" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf dynamic show config | grep -q 'end time .* passed'"
stop TERM
check "a start after the end time" start
check_not "does not switch it on" sh -c "ip netns exec $ns nft list table inet ipsecpol | grep -q 'log prefix'"

# ---- the control socket ----
drops() { in_ns python3 - "$t/run/ipsecpol.socket" "$1" <<'PY'
import json, socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
t = time.time()
s.sendall(json.dumps({"method": "org.ipsecpol.Drops", "parameters": json.loads(sys.argv[2])}).encode() + b"\0")
b = b""
while not b.endswith(b"\0"):
    x = s.recv(65536)
    if not x: break
    b += x
print(json.dumps({"took": int(time.time() - t), **json.loads(b[:-1])}))
PY
}
check "off: answered at once" sh -c 'true'
drops '{"since": 0}' >"$t/answer"
check "level 0" has '"level": 0' "$t/answer"
check "at once" has '"took": 0' "$t/answer"
drops '{"since": -1}' >"$t/answer"
check "a bad number is refused" has 'InvalidParameter' "$t/answer"
dyn set config property=ipsecdiagnostics value=2 >/dev/null
dyn add rule srcaddr=any dstaddr=me protocol=UDP dstport=7001 actioninbound=block actionoutbound=block
drops '{"since": 99999}' >"$t/answer" &
waiting=$!
sleep 1; send $ns-peer 10.77.9.1 7001
wait $waiting
check "a number from before the start begins anew, when one comes" has '"dport": 7001' "$t/answer"

summary
