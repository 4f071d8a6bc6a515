# The virtual machine's whole life: hosts, daemons, scenarios, judgement.
# One line a check, "ok   ..." or "FAIL ...", and "END" when it got so far.
here=$(dirname "$0")
. "$here/lib.sh"
. /run/out/env	# builddir, only
mount -t proc proc /proc 2>/dev/null; mount -t sysfs sys /sys 2>/dev/null
echo >/proc/sys/kernel/modprobe	# all modules are loaded: nothing is to be looked for
policies=/run/out/policies
mkdir /run/bin && cp "$builddir/ipsecpold" "$builddir/ipsecpol" "$builddir/ipsecpol-worker" /run/bin/ && chmod 755 /run/bin/*
echo "note guest: Linux $(uname -r), up after $(seconds) s"

scenarios="harness start require pfs service exceptions everything certificate charon agent change connection request both_request inpass
	examples ikev2 tunnel thousand latency removed"
for f in "$here"/scenario_*.sh; do . "$f"; done
scenario=guest
network
check "the capture runs" capture_start
for h in A B G H; do charon_start $h; done
check "traffic" net_start
for h in A B G H; do check "charon of $h" charon_up $h; done
note "ready after $(seconds) s"
for s in $scenarios; do
	echo "$s" | grep -qE -- "${only:-.}" || continue
	scenario=$s begun=$(seconds)
	"scenario_$s"
	awk -v a="$begun" -v b="$(seconds)" -v s="$s" 'BEGIN { printf "time %s: %.1f s\n", s, b - a }'
done
scenario=wire
capture_stop
check "no packet was lost to the capture" grep -q '^0 packets dropped by kernel' /run/tcpdump.out
python3 "$here/judge.py" $windows /run/capture.pcap >/run/judged 2>&1
cat /run/judged
cp /run/capture.pcap $windows /run/out/ 2>/dev/null
for h in A B G H; do
	for f in charon.log agent.log; do [ ! -e /run/$h/$f ] || cp /run/$h/$f /run/out/$h.$f; done
done
echo "END $(seconds) s"
