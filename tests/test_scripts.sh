#!/bin/sh
# Scripts as Windows administrators have them: what they say is what happens to packets; what is
# exported and read again is the same policy; long ones, broken ones, and several at once.
set -u
. "${srcdir:?}/tests/lib/daemon.sh"

# A peer with an address in the administrators' net, one in another and one far away.
peer=$ns-peer more_ns=$ns-peer
ip netns add $peer && ip -n $peer link set lo up
ip -n $ns link add eth0 type veth peer name eth0 netns $peer
ip -n $ns addr add 10.9.0.1/24 dev eth0
for a in 10.9.0.2/24 10.9.0.3/24 10.8.0.2/24 192.168.7.2/24; do ip -n $peer addr add $a dev eth0; done
ip -n $ns link set eth0 up; ip -n $peer link set eth0 up
ip -n $ns route add default via 10.9.0.2

conf WEB1
# Nobody assigns a policy to it: the local one counts.
python3 -c 'import re, sys
s = open(sys.argv[1]).read().replace("\n ", "")
open(sys.argv[1], "w").write(re.sub("\ngPLink:[^\n]*", "", s, flags=re.I))' "$t/corp.ldif"

# serve PORT...: TCP and UDP, echoes.  probe SOURCE DESTINATION PROTOCOL PORT WANTED..., read as lines:
# says which of them are not as wanted.
cat >"$t/net.py" <<'PY'
import concurrent.futures, selectors, socket, subprocess, sys

WAIT = 0.5


def serve(ports):
    sel = selectors.DefaultSelector()
    for p in ports:
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(('', p))
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('', p))
        s.listen(50)
        sel.register(u, selectors.EVENT_READ)
        sel.register(s, selectors.EVENT_READ)
    print('ready', flush=True)
    while True:
        for key, _ in sel.select():
            s = key.fileobj
            try:
                if s.type == socket.SOCK_DGRAM:
                    data, who = s.recvfrom(2048)
                    s.sendto(data, who)
                else:
                    c = s.accept()[0]
                    c.sendall(b'x')
                    c.close()
            except OSError:
                pass


def passes(source, to, protocol, port):
    if protocol == 'icmp':
        return subprocess.run(['ping', '-c1', '-W1', '-q', '-I', source, to], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == 'tcp' else socket.SOCK_DGRAM)
    s.settimeout(WAIT)
    try:
        s.bind((source, 0))
        s.connect((to, int(port)))
        if protocol == 'udp':
            s.send(b'x')
        return s.recv(10) == b'x'
    except OSError:
        return False
    finally:
        s.close()


if sys.argv[1] == 'serve':
    serve([int(p) for p in sys.argv[2:]])
lines = [l.split() for l in sys.stdin if l.strip()]
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    got = list(pool.map(lambda l: passes(*l[:4]), lines))
wrong = ['%s: %s' % (' '.join(l), 'passes' if g else 'does not') for l, g in zip(lines, got) if g != (l[4] == 'open')]
print('\n'.join(wrong) or '%d packets' % len(lines))
sys.exit(bool(wrong) or not lines)
PY
ports="21 22 23 25 53 80 88 135 137 139 389 443 445 1433 3389 5000 5001 8080"
for n in $ns $peer; do
	ip netns exec $n python3 "$t/net.py" serve $ports >"$t/$n.serve" 2>&1 &
	servers="${servers:-} $!"
done
trap 'kill $servers 2>/dev/null; finish' EXIT
for n in $ns $peer; do until grep -q ready "$t/$n.serve"; do sleep 0.05; done; done
# from_peer, from_host: lines "SOURCE DESTINATION PROTOCOL PORT open|closed" on standard input
from_peer() { ip netns exec $peer python3 "$t/net.py" probe; }
from_host() { in_ns python3 "$t/net.py" probe; }
# packets NAME: $t/incoming and $t/outgoing are what is wanted
packets() {
	check "$1: what comes in" from_peer <"$t/incoming"
	check "$1: what goes out" from_host <"$t/outgoing"
}
# all_pass NAME: of any kind, when nothing is assigned
all_pass() { sed 's/closed/open/' "$t/incoming" >"$t/incoming.all"; check "$1" from_peer <"$t/incoming.all"; }
assign() { cli static set policy name="$1" assign=yes; }
unassign() { cli static set policy name="$1" assign=no; }
# A policy's text; view: without GUIDs, a line an object, in an order of its own
# The time of a change is that of the import.
shown() { cli show policy | grep -v "^	changed "; }
view() {
	sed 's/{[0-9a-fA-F-]*}/{}/g; /^	\(dn\|instance\) /d' |
		awk '/^\t/ { printf " |%s", substr($0, 2); next } { printf "%s%s", (NR > 1 ? "\n" : ""), $0 } END { print "" }' | sort
}

check "the service" start
check "has asked" cli refresh

# ---- 1: ports that worms use; rem, a line a command, `netsh` in front, nothing left of an older policy ----
cat >"$t/1" <<'EOS'
rem  Close the ports of file sharing and of the mapper to the network.

netsh ipsec static delete policy all
netsh ipsec static delete filterlist all
netsh ipsec static delete filteraction all
netsh ipsec static add policy name="Packet Filters" description="Server hardening" assign=no
netsh ipsec static add filterlist name="Blocked ports" description="what nobody needs from outside"
netsh ipsec static add filter filterlist="Blocked ports" srcaddr=any dstaddr=me description="RPC" protocol=TCP srcport=0 dstport=135
netsh ipsec static add filter filterlist="Blocked ports" srcaddr=any dstaddr=me description="NetBIOS name" protocol=UDP srcport=0 dstport=137
netsh ipsec static add filter filterlist="Blocked ports" srcaddr=any dstaddr=me description="NetBIOS session" protocol=TCP srcport=0 dstport=139 mirrored=yes
netsh ipsec static add filter filterlist="Blocked ports" srcaddr=any dstaddr=me description="SMB" protocol=TCP srcport=0 dstport=445 mirrored=yes
netsh ipsec static add filteraction name="Block" description="drop it" action=block
netsh ipsec static add rule name="Blocked ports rule" policy="Packet Filters" filterlist="Blocked ports" kerberos=yes filteraction="Block"
REM and now
netsh ipsec static set policy name="Packet Filters" assign=yes
EOS
cat >"$t/incoming" <<'EOS'
10.9.0.2 10.9.0.1 tcp 135 closed
10.9.0.2 10.9.0.1 udp 137 closed
10.9.0.2 10.9.0.1 tcp 137 open
10.9.0.2 10.9.0.1 tcp 139 closed
192.168.7.2 10.9.0.1 tcp 445 closed
10.9.0.2 10.9.0.1 udp 445 open
10.9.0.2 10.9.0.1 tcp 80 open
10.9.0.2 10.9.0.1 tcp 3389 open
10.9.0.2 10.9.0.1 icmp 0 open
EOS
printf '10.9.0.1 10.9.0.2 tcp 445 open\n10.9.0.1 10.9.0.2 udp 53 open\n10.9.0.1 10.9.0.2 icmp 0 open\n' >"$t/outgoing"
all_pass "without a policy everything passes"
check "blocked ports" cli exec "$t/1"
packets "blocked ports"
check "not assigned any more" unassign "Packet Filters"
all_pass "everything passes again"

# ---- 2: some may, the others may not; order without tags, short forms, masks both ways ----
cat >"$t/2" <<'EOS'
# remote desktop and SQL: from the administrators' net and one more computer
netsh ipsec static
add policy "Admin access" "who may" act=no poll=60 assign=n
add filteraction Permit "let through" action=permit
add filteraction Deny "throw away" action=block
add filterlist "All to me"
add filter "All to me" any me "everything" proto=any mir=y
add filter Admins 10.9.0.0 me "our net" TCP y srcmask=255.255.255.0 dstport=3389
add filter Admins 192.168.7.2 me "the other office" TCP y dstp=3389
add filter Admins srca=10.9.0.0 srcm=24 dsta=me prot=tcp dstport=1433 desc="SQL"
add filter Web any me proto=tcp dstport=80
add filter Web any me proto=6 dstport=443
add filter Ping srca=10.9.0.0/24 dsta=me proto=icmp
add rule "web" "Admin access" Web Permit
add rule "admins" "Admin access" Admins Permit none all yes "remote desktop"
add rule name=ping pol="Admin access" filterl=Ping filtera=Permit con=lan
add rule name=rest pol="Admin access" filterl="All to me" filtera=Deny
set pol "Admin access" assign=y
..
exit
this is not read any more
EOS
cat >"$t/incoming" <<'EOS'
10.9.0.2 10.9.0.1 tcp 3389 open
10.9.0.3 10.9.0.1 tcp 3389 open
192.168.7.2 10.9.0.1 tcp 3389 open
10.8.0.2 10.9.0.1 tcp 3389 closed
10.9.0.2 10.9.0.1 tcp 1433 open
192.168.7.2 10.9.0.1 tcp 1433 closed
10.8.0.2 10.9.0.1 tcp 80 open
192.168.7.2 10.9.0.1 tcp 443 open
10.8.0.2 10.9.0.1 tcp 22 closed
10.9.0.2 10.9.0.1 udp 3389 closed
10.9.0.2 10.9.0.1 tcp 445 closed
10.9.0.2 10.9.0.1 icmp 0 open
10.8.0.2 10.9.0.1 icmp 0 closed
EOS
# The last rule is mirrored: its other half is everything that goes out.
printf '10.9.0.1 10.9.0.2 tcp 445 closed\n10.9.0.1 10.9.0.2 tcp 80 closed\n10.9.0.1 10.8.0.2 udp 53 closed\n' >"$t/outgoing"
check "permit a net and block the rest" cli exec "$t/2"
packets "permit a net"
check "not assigned any more" unassign "Admin access"
all_pass "everything passes again"

# ---- 3: isolation: secured inside, some exempt; psk and Kerberos ----
cat >"$t/3" <<'EOS'
; Domain isolation
pushd ipsec static
add filterlist name="Secure subnet"
add filter filterlist="Secure subnet" srcaddr=me dstaddr=10.9.0.0 dstmask=255.255.255.0 protocol=any mirrored=yes description="everybody here"
add filterlist name="Exempt" description="who cannot speak IPsec"
add filter filterlist="Exempt" srcaddr=me dstaddr=10.9.0.3 description="printer" mirrored=yes
add filter filterlist="Exempt" srcaddr=me dstaddr=dns mirrored=yes
add filter filterlist="ICMP" srcaddr=me dstaddr=10.9.0.0 dstmask=24 protocol=icmp mirrored=yes
add filteraction name="IPsec - Require" description="nothing in clear" action=negotiate inpass=no soft=no qmpfs=no qmsecmethods="ESP[3DES,SHA1]:100000k/3600s AH[SHA1]:100000k/3600s"
add filteraction name="IPsec - Permit" action=permit
add policy name="Isolation" description="Domain isolation" mmlifetime=180 pollinginterval=30 activatedefaultrule=no mmsecmethods="3DES-SHA1-3 3DES-SHA1-2"
add rule name="Secured" policy="Isolation" filterlist="Secure subnet" filteraction="IPsec - Require" kerberos=yes psk="correct \"horse\" battery" rootca="C=US, O=Corp, CN=Corp \'Root\' CA certmap:no excludecaname:yes"
add rule name="Exempted" policy="Isolation" filterlist="Exempt" filteraction="IPsec - Permit"
add rule name="ICMP" policy="Isolation" filterlist="ICMP" filteraction="IPsec - Permit"
set policy name="Isolation" assign=yes
popd
EOS
cat >"$t/incoming" <<'EOS'
10.9.0.2 10.9.0.1 tcp 80 closed
10.9.0.2 10.9.0.1 udp 5000 closed
10.9.0.3 10.9.0.1 tcp 80 open
10.9.0.3 10.9.0.1 udp 5000 open
10.8.0.2 10.9.0.1 tcp 80 open
10.9.0.2 10.9.0.1 icmp 0 open
EOS
printf '10.9.0.1 10.9.0.2 tcp 80 closed\n10.9.0.1 10.9.0.3 tcp 80 open\n10.9.0.1 10.8.0.2 tcp 80 open\n10.9.0.1 10.9.0.2 icmp 0 open\n' >"$t/outgoing"
check "isolation" cli exec "$t/3"
packets "isolation"
check "with its methods in order" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf static show rule Secured Isolation level=verbose"
shown >"$t/text"
check "the key is not shown" has 'preshared-key \*\*\*' "$t/text"
check_not "nowhere" has 'horse' "$t/text"
check "not assigned any more" unassign Isolation

# ---- 4: as another tool of Windows saves it: UTF-16 with its mark, CRLF, quotes inside ----
cat >"$t/4.txt" <<'EOS'
# ----------------------------------------------
# Store: local
# ----------------------------------------------
pushd ipsec static

# Größe ist nicht alles
add filterlist name="Büro \"Süd\"" description="Zürich, 2. Stock"
add filter filterlist="Büro \"Süd\"" srcaddr=10.8.0.0 srcmask=24 dstaddr=me protocol=TCP mirrored=no srcport=0 dstport=8080
add filteraction name="Verweigern" description="" action=block
add policy name="Büro" description="a=b, 100% \"sicher\"" activatedefaultrule=no assign=no
add rule name="Süd" policy="Büro" filterlist="Büro \"Süd\"" filteraction=Verweigern tunnel=none conntype=all activate=yes
add rule name="Schläft" policy="Büro" filterlist="Büro \"Süd\"" filteraction=Verweigern activate=no
set policy name="Büro" assign=yes

popd
# End of file.
EOS
python3 -c 'import sys
s = open(sys.argv[1], encoding="utf-8").read()
open(sys.argv[2], "wb").write(("\ufeff" + s.replace("\n", "\r\n")).encode("utf-16-le"))' "$t/4.txt" "$t/4"
printf '10.8.0.2 10.9.0.1 tcp 8080 closed\n10.9.0.2 10.9.0.1 tcp 8080 open\n10.8.0.2 10.9.0.1 udp 8080 open\n10.8.0.2 10.9.0.1 tcp 80 open\n' >"$t/incoming"
printf '10.9.0.1 10.8.0.2 tcp 8080 open\n' >"$t/outgoing"
check "UTF-16 with a mark and CRLF" cli exec "$t/4"
packets "UTF-16"
check "names as they were written" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf static show filterlist 'Büro \"Süd\"' | grep 'Zürich, 2. Stock'"
check "not assigned any more" unassign "Büro"

# ---- 5: what a kiosk may: outbound; set batch; set store said again ----
cat >"$t/5" <<'EOS'
netsh ipsec static set store location=local
netsh ipsec static set batch mode=enable
netsh ipsec static add policy name=Kiosk description="nothing but the web" activatedefaultrule=no
; everything that begins here
netsh ipsec static add filter filterlist="Kiosk all" srcaddr=me dstaddr=any
netsh ipsec static add filter filterlist="Kiosk web" srcaddr=me dstaddr=any protocol=TCP dstport=80
netsh ipsec static add filter filterlist="Kiosk web" srcaddr=me dstaddr=any protocol=TCP dstport=443
netsh ipsec static add filter filterlist="Kiosk web" srcaddr=me dstaddr=10.9.0.2 protocol=UDP dstport=53
netsh ipsec static add filteraction name="Kiosk permit" action=permit
netsh ipsec static add filteraction name="Kiosk block" action=block
netsh ipsec static add rule name="Kiosk web" policy=Kiosk filterlist="Kiosk web" filteraction="Kiosk permit"
netsh ipsec static add rule name="Kiosk all" policy=Kiosk filterlist="Kiosk all" filteraction="Kiosk block"
netsh ipsec static set batch mode=disable
netsh ipsec static set policy name=Kiosk assign=yes
EOS
printf '10.9.0.2 10.9.0.1 tcp 22 closed\n10.9.0.2 10.9.0.1 tcp 3389 closed\n10.9.0.2 10.9.0.1 icmp 0 closed\n' >"$t/incoming"
cat >"$t/outgoing" <<'EOS'
10.9.0.1 10.9.0.2 tcp 80 open
10.9.0.1 192.168.7.2 tcp 443 open
10.9.0.1 10.9.0.2 tcp 22 closed
10.9.0.1 10.9.0.2 udp 80 closed
10.9.0.1 10.9.0.2 udp 53 open
10.9.0.1 10.9.0.3 udp 53 closed
10.9.0.1 10.9.0.2 icmp 0 closed
EOS
check "a kiosk" cli exec "$t/5"
packets "a kiosk"
check "not assigned any more" unassign Kiosk

# ---- 6: a web server whose policy is made anew each time; piped in; offers that fall back ----
cat >"$t/6" <<'EOS'
pushd ipsec static
set policy name="Web server" assign=no
delete policy name="Web server"
popd
EOS
cat >"$t/6.make" <<'EOS'
netsh ipsec static add policy name="Web server" mmpfs=yes qmpermm=1 activatedefaultrule=no
pushd ipsec
static add filterlist www
static add filter www any me protocol=TCP dstport=80
static add filter www any me protocol=TCP dstport=443
static add filter www any me protocol=TCP dstport=21
static delete filter www any me protocol=TCP dstport=21
static set filterlist www newname="Web traffic" description=http
static add filterlist rest
static add filter rest any me mirrored=no
static add filter rest any me protocol=TCP dstport=5000 mirrored=no
static delete filter rest any me protocol=TCP
static add filteraction soft soft=y inpass=y qmsec="AH[MD5]+ESP[DES,None]:5000k ESP[3DES,MD5]"
static add filteraction "web permit" action=permit
static add filteraction "web block" action=block
static add rule r1 "Web server" "Web traffic" "web permit"
static add rule r2 "Web server" rest soft
static set rule r2 "Web server" newname="everything else" filteraction="web block"
static add rule r3 "Web server" rest soft
static delete rule r3 "Web server"
static set policy "Web server" assign=yes
popd
EOS
printf '10.9.0.2 10.9.0.1 tcp 80 open\n10.8.0.2 10.9.0.1 tcp 443 open\n10.9.0.2 10.9.0.1 tcp 21 closed\n10.9.0.2 10.9.0.1 tcp 5000 closed\n10.9.0.2 10.9.0.1 icmp 0 closed\n' >"$t/incoming"
printf '10.9.0.1 10.9.0.2 udp 53 closed\n' >"$t/outgoing"
check "a web server" sh -c "ip netns exec $ns $builddir/ipsecpol --config $t/conf <'$t/6.make'"
packets "a web server"
check "taken away" cli exec "$t/6"
all_pass "everything passes again"
# Its lists and actions are still there.
check_not "a second time the list is there" cli exec "$t/6.make"
check "which is said, and where" has "6.make:8: filter list 'Web traffic' exists already" "$t/out"
check "what stood before it is written" has "6 commands before it were written" "$t/out"

# ---- export, wipe, import: the same policies ----
policies="Packet Filters
Admin access
Isolation
Büro
Kiosk"
# texts DIR: of each policy, when it is assigned
texts() {
	mkdir -p "$t/$1" && i=0
	echo "$policies" | while read -r p; do
		i=$((i + 1))
		assign "$p" >"$t/$1/said" 2>&1 && shown >"$t/$1/$i" 2>&1 && view <"$t/$1/$i" >"$t/$1/$i.view" || { cat "$t/$1/said"; exit 1; }
		unassign "$p" >/dev/null 2>&1
		grep -qF "\"$p\"" "$t/$1/$i" || { echo "not '$p':"; head -3 "$t/$1/$i"; exit 1; }
	done
}
check "what there is" texts was
for f in reg reg-utf8 ldif script; do
	check "exported as $f" cli static exportpolicy "$t/export.$f" format=$f
	check "for root alone" sh -c "[ \$(stat -c %a '$t/export.$f') = 600 ]"
done
check "reg export of the tree" cli reg export "$t/export.tree" 'HKLM\SOFTWARE\Policies\Microsoft\Windows\IPSec\Policy\Local'
wipe() { cli static delete all && cli --json static show all >"$t/all" && ! grep -q '"name": "' "$t/all"; }
for f in reg reg-utf8 ldif script tree; do
	check "$f: wiped" wipe
	case $f in
	script) check "$f: run" cli exec "$t/export.$f" ;;
	tree) check "$f: imported" cli reg import "$t/export.$f" ;;
	*) check "$f: imported" cli static importpolicy "$t/export.$f" ;;
	esac
	check "$f: policies" texts "$f"
	for i in 1 2 3 4 5; do
		case $f in
		script) check "$f: policy $i is the same" diff "$t/was/$i.view" "$t/$f/$i.view" ;;
		*) check "$f: policy $i is the same" diff "$t/was/$i" "$t/$f/$i" ;;
		esac
	done
done
check "imported again nothing changes" cli static importpolicy "$t/export.ldif"
check "the same" texts again
check "policy 3" diff "$t/was/3" "$t/again/3"
cat >"$t/incoming" <<'EOS'
10.9.0.2 10.9.0.1 tcp 3389 open
10.8.0.2 10.9.0.1 tcp 3389 closed
192.168.7.2 10.9.0.1 tcp 1433 closed
10.8.0.2 10.9.0.1 tcp 80 open
EOS
check "assigned" assign "Admin access"
check "and packets are as they were" from_peer <"$t/incoming"
unassign "Admin access" >/dev/null

# ---- errors ----
sum() { sha256sum "$t/state/registry.db"; }
filters() { cli --json static show filterlist "$1" level=verbose 2>/dev/null | python3 -c 'import json, sys
def walk(v):
    if isinstance(v, dict):
        return sum(len(x) if k == "filters" and isinstance(x, list) else walk(x) for k, x in v.items())
    return sum(walk(x) for x in v) if isinstance(v, list) else 0
print(walk(json.load(sys.stdin)))'; }
has_filters() { n=$(filters "$1"); [ "$n" = "$2" ] || { echo "'$1' has $n filters, not $2"; return 1; }; }
{ echo 'pushd ipsec static'; echo '# a list'; echo 'add filter E1 any me'; echo; echo 'add filter E1 10.1.1.1 me'
	echo 'add filter E1 10.1.1.300 me'; echo 'add filter E1 10.1.1.2 me'; echo 'add rule x none E1 Permit'; echo 'add filter E1 10.1.1.3 me'; } >"$t/bad"
before=$(sum)
check_not "--atomic: an error" cli exec --atomic "$t/bad"
check "names its line" has "^ipsecpol: $t/bad:6: 'srcaddr': '10.1.1.300'" "$t/out"
check "and that nothing was written" has "nothing was written" "$t/out"
check "nothing was" [ "$before" = "$(sum)" ]
sed -i 6d "$t/bad"
check_not "--atomic: an error of the store" cli exec --atomic "$t/bad"
check "names its line" has "^ipsecpol: $t/bad:7: policy 'none' does not exist" "$t/out"
check "nothing was written" [ "$before" = "$(sum)" ]
sed -i '6i add filter E1 10.1.1.300 me' "$t/bad"
check_not "plain: up to the error" cli exec "$t/bad"
check "names its line" has "^ipsecpol: $t/bad:6: " "$t/out"
check "and what was written" has "2 commands before it were written" "$t/out"
check "which they were" has_filters E1 2
cli static delete filterlist E1
check_not "--keep-going: all but those" cli exec --keep-going "$t/bad"
check "names the first" has "^ipsecpol: $t/bad:6: " "$t/out"
check "and the second" has "^ipsecpol: $t/bad:8: " "$t/out"
check "and counts" has "2 commands failed, 4 commands were written" "$t/out"
check "which they were" has_filters E1 4
check "deleted" cli static delete filterlist E1

# ---- what batch files have around and within the commands ----
cat >"$t/batch" <<'EOS'
@echo off
:: servers that listen for nobody
:start
echo.
netsh.exe ipsec static add filterlist name=Batch
netsh -c ipsec static add filter Batch me any protocol=TCP srcmask=255.255.255.255 dstmask=0.0.0.0 srcport=any dstport=ANY
@netsh ipsec static add filter Batch any me protocol=UDP srcmask=0 dstmask=32 dstport=69
echo done.
EOS
check "a batch file" cli exec "$t/batch"
check "with its filters" has_filters Batch 2
check_not "a mask that says something beside me" cli static add filter Batch me 10.1.1.1 srcmask=8
check_not "me on both sides" cli static add filter Batch me me
check_not "an option behind the context" cli static show policy --json
check "is told" has "options stand before 'static'" "$t/out"
check "deleted" cli static delete filterlist Batch

# ---- long ones ----
for n in 10000 20000; do
	python3 -c 'import sys
print("pushd ipsec static\nadd filterlist name=Long")
for i in range(int(sys.argv[1])):
    print("add filter filterlist=Long srcaddr=10.%d.%d.0 srcmask=24 dstaddr=me protocol=TCP dstport=%d" % (i // 200 % 200, i % 200, 1 + i % 60000))
print("popd")' $n >"$t/long"
	began=$(date +%s%3N)
	check "$n filters" cli exec "$t/long"
	echo "     $n filters took $(($(date +%s%3N) - began)) ms"
	check "$n of them are there" has_filters Long $n
	check "deleted again" cli static delete filterlist Long
done

# ---- two at once ----
for k in one two; do
	{ echo "pushd ipsec static"; for i in $(seq 200); do echo "add filter List-$k 10.3.$((i % 250)).1 me protocol=UDP dstport=$i"; done; } >"$t/$k"
	{ for i in $(seq 200); do echo "add filterlist name=$k-$i"; done; } >"$t/$k.each"
done
cli exec "$t/one" >"$t/one.out" 2>&1 & p1=$!
cli exec "$t/two" >"$t/two.out" 2>&1 & p2=$!
wait $p1; r1=$?; wait $p2; r2=$?
check "two scripts at once" [ "$r1 $r2$(cat "$t/one.out" "$t/two.out")" = "0 0" ]
check "the first lost nothing" has_filters List-one 200
check "nor the second" has_filters List-two 200
each() { while read -r line; do cli static $line || echo "failed: $line"; done <"$t/$1.each" >"$t/$1.out" 2>&1; }
each one & p1=$!
each two & p2=$!
wait $p1 $p2
check "200 commands each at once" [ -z "$(cat "$t/one.out" "$t/two.out")" ]
lists() { cli static show filterlist all format=table wide=yes | grep -cE '^(one|two)-[0-9]+ '; }
check "400 lists" [ "$(lists)" = 400 ]
check "and the service has seen it all" is mode permit

# ---- the example that negotiates ----
sed 's/CHANGE-ME/Sesame, open/' "$srcdir/examples/negotiate.netsh" >"$t/example"
check "the example that negotiates" cli exec "$t/example"
check "is enforced" is mode secure
check "for one network of peers" is negotiate.connections.wanted 1
check "with nothing that cannot be negotiated" is negotiate.problems "[]"
check_not "its key is not shown" sh -c "'$builddir/ipsecpol' --config '$t/conf' show ike | grep -q Sesame"
check "taken back" cli static set policy name="Protected database" assign=no
check "nothing is filtered" is mode permit
stop
summary
