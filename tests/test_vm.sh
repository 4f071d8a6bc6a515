#!/bin/sh
# Negotiated security for real: hosts with ipsecpold and charon each, as network namespaces of one virtual machine with
# Debian's kernel, from a GPO in a directory to ESP on the wire, and one judge: a capture of every packet.
#   VM_ONLY=PATTERN   only these scenarios      VM_ACCEL=kvm    see tests/vm/machine.sh
# Kernel and console: $builddir/vm; after a run also the capture and the logs of all daemons, in $builddir/vm/out.
set -u
: "${builddir:?}" "${srcdir:?}"
builddir=$(cd "$builddir" && pwd) srcdir=$(cd "$srcdir" && pwd)
PATH=$PATH:/usr/sbin:/sbin
. "$srcdir/tests/vm/machine.sh"
vm=$builddir/vm limit=${VM_SECONDS:-1800}
skip() { echo "SKIP: virtual machine: $1"; echo "0 passed, 0 failed"; exit 0; }

[ "$(uname -m)" = x86_64 ] || skip "only for amd64"
for p in qemu-system-x86_64 busybox cpio modprobe depmod; do
	command -v $p >/dev/null || skip "$p is not installed"
done
python3 "$srcdir/tests/vm/judge.py" --self-test || { echo "FAIL: the judge"; echo "0 passed, 1 failed"; exit 1; }
mkdir -p "$vm"
exec 9>"$vm/lock"
flock 9
vm_kernel "$vm" || { tail -3 "$vm/apt.log"; skip "Debian's kernel cannot be fetched"; }
vm_initrd "$vm" || { echo "FAIL: no initrd"; echo "0 passed, 1 failed"; exit 1; }
rm -rf "$vm/out" && mkdir -p "$vm/out/policies" && chmod 711 "$vm/out"
trap 'rm -rf "$vm/out/policies" "$vm/out/pki"' EXIT
python3 "$srcdir/tests/vm/domain.py" "$builddir/ipsecpol" "$srcdir/tests/vm/policies.netsh" "$vm/out/policies" ||
	{ echo "FAIL: the policies cannot be made"; echo "0 passed, 1 failed"; exit 1; }
sh "$srcdir/tests/vm/pki.sh" "$vm/out/pki" || { echo "FAIL: no certificates"; echo "0 passed, 1 failed"; exit 1; }
printf 'builddir=%s\nonly=%s\n' "'$builddir'" "'${VM_ONLY:-.}'" >"$vm/out/env"

# A qemu that cannot even start is the machine's fault; a guest that dies is ours.
vm_run "$vm" "$limit" "$srcdir/tests/vm/guest.sh" "$vm/console"
rc=$?
if [ $rc != 0 ] && [ $rc != 124 ] && grep -q '^qemu-system' "$vm/console" && ! grep -q '^note guest' "$vm/console"; then
	head -3 "$vm/console"; skip "qemu cannot run here"
fi
tr -d '\r' <"$vm/console" >"$vm/console.txt"
grep -E '^(ok   |FAIL |     \| |note |time )' "$vm/console.txt"
n_passed=$(grep -c '^ok   ' "$vm/console.txt") n_failed=$(grep -c '^FAIL ' "$vm/console.txt")
if ! grep -q '^END ' "$vm/console.txt"; then
	n_failed=$((n_failed + 1))
	[ $rc = 124 ] && echo "FAIL: the guest had not finished after $limit s" || echo "FAIL: the guest died (qemu: $rc)"
	tail -40 "$vm/console.txt" | sed 's/^/     | /'
fi
echo "$n_passed passed, $n_failed failed"
[ "$n_failed" = 0 ] && [ "$n_passed" -gt 0 ]
